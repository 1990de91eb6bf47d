"""The Dockerfile and what belongs to it: the image contains the program, and nothing else.

`python -m tests.deploy_check` runs the steps of the Dockerfile.
"""

import re

from tests.deploy.proxies import DEPLOY
from tests.servers import ROOT

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
IGNORED = (DEPLOY / "Dockerfile.dockerignore").read_text()
COMPOSE = (DEPLOY / "compose.yaml").read_text()


def copied_files() -> set[str]:
    """Return what the Dockerfile copies from this tree."""
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    return {source for sources in copies for source in sources.split()}


def test_everything_that_is_copied_exists() -> None:
    assert copied_files() >= {"app.py", "config.py", "gunicorn.conf.py", "chat"}
    assert [name for name in copied_files() if not (ROOT / name).exists()] == []


def test_docker_gets_only_what_is_copied() -> None:
    assert set(re.findall(r"^!(.+)$", IGNORED, re.MULTILINE)) == copied_files()
    assert re.search(r"^\*$", IGNORED, re.MULTILINE)


def test_the_variables_of_the_compose_file_are_in_its_example() -> None:
    example = (DEPLOY / "compose.env").read_text()

    variables = set(re.findall(r"\$\{(\w+)", COMPOSE)) | {"COMPOSE_PROFILES"}

    assert set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == variables
    for profile in ("small", "large"):
        assert f"profiles: [{profile}]" in COMPOSE
