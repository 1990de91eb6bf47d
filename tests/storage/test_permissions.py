"""The files of an installation can be opened only by the user that runs it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat import create_app, shut_down
from chat.storage.instance_folder import restrict_to_owner
from config import Config
from tests.conftest import Log, create_room


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """New files can be read by everybody, unless the program restricts them."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def permissions(folder: Path) -> dict[str, int]:
    """Return the permissions of a folder and its files, by name."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}


def test_other_users_cannot_open_the_files_of_an_installation(tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    app = create_app(Config(instance=folder))
    create_room(app, "kitchen")

    found = permissions(folder)

    shut_down(app)
    assert found.pop("instance") == 0o700
    assert {"confab.db", "confab.db-wal", "confab.db-shm", "secret_key"} <= set(found)
    assert set(found.values()) == {0o600}


def test_files_of_an_earlier_release_are_restricted_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    running = create_app(Config(instance=folder))
    create_room(running, "kitchen")
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    assert (folder / "confab.db-wal").exists()

    app = create_app(Config(instance=folder))  # another worker starts

    found = permissions(folder)
    shut_down(app)
    shut_down(running)
    assert found.pop("instance") == 0o700
    for name in ("confab.db", "confab.db-wal", "confab.db-shm"):
        assert found[name] == 0o600


def test_a_database_elsewhere_is_restricted_but_not_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "chat.db"
    path.parent.mkdir(mode=0o755)

    app = create_app(Config(instance=tmp_path / "i", database_url=f"sqlite:///{path}"))

    shut_down(app)
    assert permissions(path.parent) == {"elsewhere": 0o755, "chat.db": 0o600}


def test_permissions_are_only_removed_and_shared_folders_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "read-only"
    file.touch()
    file.chmod(0o444)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)

    restrict_to_owner(file)
    restrict_to_owner(shared)

    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777


def test_permissions_that_cannot_be_removed_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    file = tmp_path / "foreign"
    file.touch()
    file.chmod(0o644)
    monkeypatch.setattr(Path, "chmod", refuse)

    restrict_to_owner(file)

    [line] = caplog.messages
    assert str(file) in line
    assert "Operation not permitted" in line
