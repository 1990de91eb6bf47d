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

# Messages of a room that was deleted without them keep their room id: a new room must not get it.
CONTINUE_AFTER_THE_HIGHEST_ID = """
    INSERT INTO sqlite_sequence (name, seq) VALUES (
        'rooms',
        max(coalesce((SELECT max(id) FROM rooms), 0), coalesce((SELECT max(room_id) FROM messages), 0))
    )
"""


def upgrade() -> None:
    """Make the table `instance`. On SQLite, give rooms an AUTOINCREMENT id; PostgreSQL has a sequence already."""
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
    """Take both away."""
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_rooms(sqlite_autoincrement=False)
    op.drop_table("instance")


def _rebuild_rooms(*, sqlite_autoincrement: bool) -> None:
    """Replace the table, as https://www.sqlite.org/lang_altertable.html says; foreign keys must be off."""
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
