"""Reactions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column `reactions` to `messages`."""
    op.add_column("messages", sa.Column("reactions", sa.JSON()))


def downgrade() -> None:
    """Drop the column, with all reactions."""
    op.drop_column("messages", "reactions")
