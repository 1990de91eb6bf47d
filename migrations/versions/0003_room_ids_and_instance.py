"""Room ids that are never reused, and a table for properties of the whole database."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The oldest revision whose program may use the schema as it is after this migration.
compatible_from = "0002"

ROOM_COLUMNS = "id, label, name, head, floor, epoch, created_at"

# Messages whose room was deleted without them keep its id, which a new room must not get.
CONTINUE_AFTER_THE_HIGHEST_ID = """
    INSERT INTO sqlite_sequence (name, seq) VALUES (
        'rooms',
        max(
            coalesce((SELECT max(id) FROM rooms), 0),
            coalesce((SELECT max(room_id) FROM messages), 0)
        )
    )
"""


def upgrade() -> None:
    """Create the table `instance`. On SQLite, give rooms an AUTOINCREMENT id.

    PostgreSQL has a sequence for the ids already.
    """
    op.create_table(
        "instance",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_rooms(sqlite_autoincrement=True)
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'rooms'")
        op.execute(CONTINUE_AFTER_THE_HIGHEST_ID)


def downgrade() -> None:
    """Drop the table `instance`; on SQLite, give rooms an id without AUTOINCREMENT."""
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_rooms(sqlite_autoincrement=False)
    op.drop_table("instance")


def _rebuild_rooms(*, sqlite_autoincrement: bool) -> None:
    """Replace the table `rooms`. Foreign keys must be off.

    See "Making Other Kinds Of Table Schema Changes" in https://www.sqlite.org/lang_altertable.html.
    """
    op.create_table(
        "rooms_rebuilt",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("label", sa.String(50), nullable=False, unique=True),
        sa.Column("name", sa.String(80), nullable=False, server_default=""),
        sa.Column("head", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("floor", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sqlite_autoincrement=sqlite_autoincrement,
    )
    op.execute(f"INSERT INTO rooms_rebuilt ({ROOM_COLUMNS}) SELECT {ROOM_COLUMNS} FROM rooms")
    op.drop_table("rooms")
    op.rename_table("rooms_rebuilt", "rooms")
