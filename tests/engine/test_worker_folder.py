"""The folder of the workers' Unix sockets, which one or two gunicorn masters use."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from chat.engine import worker_folder


@pytest.fixture(autouse=True)
def in_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the folders of a test in its own one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def ended_process() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def become(folder: str, generation: str, pid: int) -> None:
    """Give a generation to another process."""
    file = Path(folder, f"master-{generation}")
    _, _, namespace = file.read_text().partition(" ")
    file.write_text(f"{pid} {namespace}")


def test_only_its_user_can_open_the_folder() -> None:
    folder, _ = worker_folder.claim_generation(None)

    assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert worker_folder.is_usable(folder)


def test_the_last_master_removes_the_folder() -> None:
    folder, first = worker_folder.claim_generation(None)
    become(folder, first, os.getppid())
    same_folder, second = worker_folder.claim_generation(folder)
    first_socket = Path(folder, f"{first}00")
    second_socket = Path(folder, f"{second}00")
    first_socket.touch()
    second_socket.touch()

    become(folder, first, os.getpid())
    become(folder, second, os.getppid())
    worker_folder.release_generation(folder, first)
    assert same_folder == folder
    assert not first_socket.exists()
    assert second_socket.exists()

    become(folder, second, os.getpid())
    worker_folder.release_generation(folder, second)
    assert not Path(folder).exists()


def test_the_generation_of_a_killed_master_is_free_again() -> None:
    folder, generation = worker_folder.claim_generation(None)
    become(folder, generation, ended_process())

    assert worker_folder.claim_generation(folder) == (folder, generation)


def test_a_generation_whose_claim_was_removed_is_not_claimed_again() -> None:
    folder, first = worker_folder.claim_generation(None)
    Path(folder, f"{first}00").touch()
    Path(folder, f"master-{first}").unlink()  # as the system does, because of its age

    _, second = worker_folder.claim_generation(folder)

    assert second != first


def test_a_master_removes_its_sockets_also_without_its_claim() -> None:
    folder, generation = worker_folder.claim_generation(None)
    Path(folder, f"{generation}00").touch()
    Path(folder, f"master-{generation}").unlink()

    worker_folder.release_generation(folder, generation)

    assert not Path(folder).exists()


def test_a_master_removes_nothing_of_another_one_with_its_generation() -> None:
    folder, generation = worker_folder.claim_generation(None)
    become(folder, generation, os.getppid())
    Path(folder, f"{generation}00").touch()

    worker_folder.release_generation(folder, generation)

    assert Path(folder, f"{generation}00").exists()
    assert Path(folder, f"master-{generation}").exists()


def test_what_a_killed_master_has_left_is_removed() -> None:
    folder, generation = worker_folder.claim_generation(None)
    Path(folder, f"{generation}00").touch()

    worker_folder.remove_abandoned(folder)
    assert Path(folder).exists(), "its master lives"

    become(folder, generation, ended_process())
    worker_folder.remove_abandoned(folder)
    assert not Path(folder).exists()


def test_a_new_master_removes_the_folders_of_killed_ones() -> None:
    killed, generation = worker_folder.claim_generation(None)
    become(killed, generation, ended_process())
    running, _ = worker_folder.claim_generation(None)
    in_another_container, generation = worker_folder.claim_generation(None)
    Path(in_another_container, f"master-{generation}").write_text(f"{ended_process()} pid:[1]")

    assert not Path(killed).exists()
    worker_folder.claim_generation(None)
    assert Path(running).exists()
    assert Path(in_another_container).exists()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_can_open_is_not_used(tmp_path: Path, mode: int) -> None:
    inherited = tmp_path / "open"
    inherited.mkdir()
    inherited.chmod(mode)

    folder, _ = worker_folder.claim_generation(str(inherited))

    assert folder != str(inherited)
    assert not worker_folder.is_usable(str(tmp_path / "missing"))


def test_paths_of_sockets_are_short_enough_for_every_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))

    folder, generation = worker_folder.claim_generation(None)

    try:
        name, _ = worker_folder.socket_name(generation, [])
        assert len(os.fsencode(f"{folder}/{name}")) < 104
        assert list(deep.iterdir()) == []
    finally:
        worker_folder.release_generation(folder, generation)


def test_each_worker_has_a_number_of_its_own() -> None:
    assert worker_folder.socket_name("0", []) == ("000", 0)
    assert worker_folder.socket_name("0", [0, 2, None]) == ("001", 1)
    assert worker_folder.socket_name("b", range(36)) == ("b10", 36)
    with pytest.raises(OSError, match="too many"):
        worker_folder.socket_name("0", range(worker_folder.MAX_WORKERS))
