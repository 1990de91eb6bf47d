"""Limits how many pages a client address may request."""

from flask import Flask, request

from chat.limits import Limits
from chat.web import health, static_files
from chat.web.client_address import client_address


def init_app(app: Flask, limits: Limits) -> None:
    """Limit all pages of the app, error pages included.

    Static files are in memory, and a page needs many of them. Health checks must always answer.
    """

    def take_page() -> None:
        if request.endpoint == static_files.ENDPOINT or health.is_health_check():
            return
        limits.take("address_pages", limits.address_key(client_address()))

    app.before_request(take_page)
