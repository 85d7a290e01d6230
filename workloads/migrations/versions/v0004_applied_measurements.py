"""Measurements that the model of capacity follows."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """One row per applied measurement, by the measurement's id."""
    op.create_table(
        "applied_measurement",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
    )


def downgrade() -> None:
    """Without it again."""
    op.drop_table("applied_measurement")
