"""Reactions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give messages their reactions."""
    op.add_column("messages", sa.Column("reactions", sa.JSON()))


def downgrade() -> None:
    """Take them away."""
    op.drop_column("messages", "reactions")
