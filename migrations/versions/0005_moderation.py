"""Rules and roles of rooms, sanctions, protected names, reports and expiry."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The oldest revision whose program may use the schema as it is after this migration.
compatible_from = "0002"

RULES = (
    sa.Column("is_private", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("is_locked", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("only_hosts_name", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("has_sanctions", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("slow_mode_seconds", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("expiry_seconds", sa.Integer()),
    sa.Column("password_hash", sa.String(200), nullable=False, server_default=""),
    sa.Column("closed_at", sa.DateTime()),
    sa.Column("roles", sa.JSON(none_as_null=True)),
)
OTHER_COLUMNS = (
    sa.Column("purge_at", sa.DateTime()),
    sa.Column("names_version", sa.Integer(), nullable=False, server_default="0"),
)
TABLES = (
    "host_links",
    "sanctions",
    "banned_addresses",
    "known_names",
    "last_posts",
    "moderation_log",
    "reports",
    "leases",
)


def upgrade() -> None:
    """Add the rules to `rooms`, `details` to `messages`, and the tables of moderation."""
    for column in (*RULES, *OTHER_COLUMNS):
        op.add_column("rooms", column)
    op.create_index("ix_rooms_purge_at", "rooms", ["purge_at"])
    op.add_column("messages", sa.Column("details", sa.JSON(none_as_null=True)))
    _create_host_links()
    _create_sanctions()
    _create_known_names()
    _create_records()
    op.create_table(
        "leases",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
    )


def downgrade() -> None:
    """Drop what this migration has added: rooms lose their hosts, rules and passwords."""
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("messages", "details")
    op.drop_index("ix_rooms_purge_at", "rooms")
    for column in reversed((*RULES, *OTHER_COLUMNS)):
        op.drop_column("rooms", column.name)


def _room_id(*, primary_key: bool = False) -> sa.Column[int]:
    foreign_key = sa.ForeignKey("rooms.id", ondelete="CASCADE")
    return sa.Column("room_id", sa.Integer(), foreign_key, primary_key=primary_key, nullable=False)


def _create_host_links() -> None:
    op.create_table(
        "host_links",
        sa.Column("secret_hash", sa.String(64), primary_key=True),
        _room_id(),
        sa.Column("created_by", sa.String(16), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("used_at", sa.DateTime()),
    )
    op.create_index("ix_host_links_room_id", "host_links", ["room_id"])


def _create_sanctions() -> None:
    op.create_table(
        "sanctions",
        _room_id(primary_key=True),
        sa.Column("mark", sa.String(16), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("handle", sa.String(64), nullable=False),
        sa.Column("until", sa.DateTime()),
        sa.Column("with_address", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "banned_addresses",
        _room_id(primary_key=True),
        sa.Column("address_hash", sa.String(32), primary_key=True),
        sa.Column("mark", sa.String(16), primary_key=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )


def _create_known_names() -> None:
    op.create_table(
        "known_names",
    "last_posts",
        _room_id(primary_key=True),
        sa.Column("mark", sa.String(16), primary_key=True),
        sa.Column("handle", sa.String(64), nullable=False),
        sa.Column("skeleton", sa.String(256), nullable=False),
        sa.Column("held_until", sa.DateTime(), nullable=False),
        sa.Column("address_hash", sa.String(32), nullable=False, server_default=""),
    )
    op.create_index("ix_known_names_skeleton", "known_names", ["room_id", "skeleton"])
    op.create_table(
        "last_posts",
        _room_id(primary_key=True),
        sa.Column("mark", sa.String(16), primary_key=True),
        sa.Column("posted_at", sa.DateTime(), nullable=False),
    )


def _create_records() -> None:
    op.create_table(
        "moderation_log",
        sa.Column("id", sa.Integer(), primary_key=True),
        _room_id(),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("mark", sa.String(16), nullable=False),
        sa.Column("handle", sa.String(64), nullable=False),
        sa.Column("action", sa.String(24), nullable=False),
        sa.Column("target", sa.String(16), nullable=False, server_default=""),
        sa.Column("sentence", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_moderation_log_room_id", "moderation_log", ["room_id", "id"])
    op.create_table(
        "reports",
        sa.Column("id", sa.Integer(), primary_key=True),
        _room_id(),
        sa.Column("label", sa.String(50), nullable=False),
        sa.Column("seq", sa.BigInteger()),
        sa.Column("reporter", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("target", sa.String(16), nullable=False, server_default=""),
        sa.Column("handle", sa.String(64), nullable=False, server_default=""),
        sa.Column("message", sa.Text(), nullable=False, server_default=""),
        sa.Column("to_operator", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("resolved_at", sa.DateTime()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reports_room_id", "reports", ["room_id", "id"])
