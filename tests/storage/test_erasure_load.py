"""The short form of `python -m tests.erasure_load`."""

from pathlib import Path

import pytest

from tests.erasure_load import measure

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(180)]


def test_others_lose_nothing_while_somebody_deletes_everything(tmp_path: Path) -> None:
    erasure = measure(tmp_path, messages=600, seconds=6)

    assert erasure.acknowledged >= 50
    assert erasure.lost == 0
    assert erasure.left == 0
    assert erasure.files == []
