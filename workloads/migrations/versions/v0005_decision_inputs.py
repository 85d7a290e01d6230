"""What a decision was made from, kept with it: its prices, so that it can be made again with them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table, a row for each decision that can be replayed."""
    op.create_table("decision_inputs", sa.Column("id", sa.String(), primary_key=True), sa.Column("document", sa.String(), nullable=False))


def downgrade() -> None:
    """Decisions stay; they can no longer be replayed."""
    op.drop_table("decision_inputs")
