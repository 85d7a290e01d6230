"""What a page keeps by itself is a draft: replaced by the next, until somebody saves, approves, shares or opens it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column; what is here already was kept on purpose, as far as anybody can tell."""
    op.add_column("scenario", sa.Column("draft", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Drafts are versions like the others again."""
    op.drop_column("scenario", "draft")
