"""The preparation of a gunicorn worker."""

from resource import RLIM_INFINITY

import pytest

from chat.engine.worker import file_limit


@pytest.mark.parametrize(
    ("soft", "hard", "limit"),
    [
        (1024, 524_288, 524_288),
        (1024, 4096, 4096),
        (256, RLIM_INFINITY, 10_100),
        (20_000, RLIM_INFINITY, 20_000),
        (RLIM_INFINITY, RLIM_INFINITY, RLIM_INFINITY),
    ],
)
def test_the_limit_on_open_files_is_raised_but_never_to_infinity(
    soft: int, hard: int, limit: int
) -> None:
    assert file_limit(soft, hard, 10_100) == limit
