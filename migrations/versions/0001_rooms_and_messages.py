"""Rooms and messages."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables `rooms` and `messages`."""
    op.create_table(
        "rooms",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("label", sa.String(50), nullable=False, unique=True),
        sa.Column("name", sa.String(80), nullable=False, server_default=""),
        sa.Column("head", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("floor", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "messages",
        sa.Column("room_id", sa.Integer(), sa.ForeignKey("rooms.id"), primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("author", sa.String(32), nullable=False),
        sa.Column("client_id", sa.String(64)),
        sa.Column("handle", sa.String(64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("timestamp", sa.DateTime(), nullable=False),
        sa.Column("edited_at", sa.DateTime()),
        sa.Column("deleted_at", sa.DateTime()),
        sa.Column("reply_to", sa.BigInteger()),
        sa.Column("kind", sa.String(16)),
        sa.UniqueConstraint("room_id", "client_id", name="uq_messages_client_id"),
    )
    op.create_index("ix_messages_rev", "messages", ["room_id", "rev"])


def downgrade() -> None:
    """Drop both tables, with all rooms and messages."""
    op.drop_table("messages")
    op.drop_table("rooms")
