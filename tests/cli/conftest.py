"""Fixtures for the commands of the operator: they run in this process, with the app of the test."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from tests.moderation.conftest import salon

__all__ = ["confab", "confab_json", "salon"]

Confab = Callable[..., Result]


@pytest.fixture
def confab(app: Flask) -> Confab:
    """A function that runs `flask confab` with some words."""

    def run(*words: str) -> Result:
        return app.test_cli_runner().invoke(args=["confab", *words])

    return run


@pytest.fixture
def confab_json(confab: Confab) -> Callable[..., Any]:
    """A function that runs a command that has to succeed, and returns the JSON that it prints."""

    def run(*words: str) -> Any:
        result = confab(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run
