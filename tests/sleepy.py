"""Confab with a page whose query takes a second, to test that other requests do not wait."""

from sqlalchemy import text

from app import app
from chat.storage.database import read_transaction


@app.get("/sleep/now")
def sleep() -> str:
    """Run a query that takes a second."""
    with read_transaction() as connection:
        connection.execute(text("SELECT pg_sleep(1)"))
    return "done"
