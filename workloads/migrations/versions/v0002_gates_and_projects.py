"""Results of the gap gate, and the entries of the playbook's projects."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gate_result",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("scenario_name", sa.String(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("look", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("option_id", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
    )
    op.create_table(
        "project",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("scenario_name", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.UniqueConstraint("scenario_name", "number", name="uq_project_scenario_name_number"),
    )


def downgrade() -> None:
    for table in ("project", "gate_result"):
        op.drop_table(table)
