"""What becomes of a scenario: its price book and method, archive, approval, shared links; and what was billed in the end."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NEW_COLUMNS = ("note", "as_of", "prices", "method_version")


def upgrade() -> None:
    """Four columns of a scenario's version, and four tables."""
    for name in NEW_COLUMNS:
        op.add_column("scenario", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.create_table(
        "scenario_event",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("scenario_name", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.UniqueConstraint("scenario_name", "number", name="uq_scenario_event_scenario_name_number"),
    )
    op.create_table(
        "approval",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("scenario_id", sa.String(), nullable=False),
        sa.Column("scenario_name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("inputs_sha256", sa.String(), nullable=False),
        sa.Column("as_of", sa.String(), nullable=False),
        sa.Column("prices", sa.String(), nullable=False),
        sa.Column("method_version", sa.String(), nullable=False),
        sa.Column("decision_sha256", sa.String(), nullable=False),
        sa.Column("sentence", sa.String(), nullable=False),
    )
    op.create_table(
        "share_link",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("scenario_id", sa.String(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("ended", sa.String(), nullable=False),
    )
    op.create_table(
        "actual",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("month", sa.Integer(), nullable=False),
        sa.Column("line", sa.String(), nullable=False),
        sa.Column("usd", sa.Float(), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=True),
        sa.Column("created", sa.String(), nullable=False),
        sa.UniqueConstraint("decision_id", "month", "line", name="uq_actual_decision_id_month_line"),
    )


def downgrade() -> None:
    """Without them again."""
    for table in ("actual", "share_link", "approval", "scenario_event"):
        op.drop_table(table)
    for name in reversed(NEW_COLUMNS):
        op.drop_column("scenario", name)
