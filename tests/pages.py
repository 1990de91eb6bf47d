"""Reads the HTML of a room's page, as tests need it."""

import json
import re

import pytest

from tests.clients import JSON


def texts_on(page: str) -> list[str]:
    """Return the texts of the messages on a page, from its top."""
    without_templates = page.partition("<template")[0]
    return re.findall(r'<div class="message__text"[^>]*>(.*?)</div>', without_templates)


def hidden_fields(page: str) -> dict[str, str]:
    """Return the hidden fields that a browser without scripts sends with the form."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))


def embedded_answer(page: str) -> JSON:
    """Return the answer to `join` that is embedded in a page.

    Fails for NaN, which Python would accept and browsers refuse.
    """
    embedded = re.search(r'<script type="application/json" id="page">(.*?)</script>', page)
    assert embedded
    answer: JSON = json.loads(embedded[1], parse_constant=pytest.fail)
    return answer
