"""The configuration of the current app, typed. config.py defines the settings."""

from typing import cast

from flask import current_app

from config import Config

_KEY = "CONFAB"


def current_config() -> Config:
    """Return the settings of the current app. Needs an application context."""
    return cast(Config, current_app.config[_KEY])  # Flask's configuration is untyped


def secret_key() -> str:
    """Return the key that signs cookies and tokens, and from which people's marks are derived."""
    key = current_app.secret_key
    if not isinstance(key, str):
        raise TypeError("create_app has to set SECRET_KEY to text")
    return key
