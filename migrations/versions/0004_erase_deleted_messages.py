"""Handle and author of deleted messages are erased."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The oldest revision whose program may use the schema as it is after this migration.
compatible_from = "0002"


def upgrade() -> None:
    """Erase handle and author of the messages that were deleted before; their text is already."""
    op.execute("UPDATE messages SET handle = '', author = '' WHERE deleted_at IS NOT NULL")


def downgrade() -> None:
    """Change nothing: what was erased cannot be restored, and earlier programs accept it."""
