"""Confab with a page that takes its database a second, for the test that others need not wait for it."""

from sqlalchemy import text

from app import app
from chat.storage.database import read_transaction


@app.get("/sleep/now")
def sleep() -> str:
    """Take a second."""
    with read_transaction() as connection:
        connection.execute(text("SELECT pg_sleep(1)"))
    return "done"
