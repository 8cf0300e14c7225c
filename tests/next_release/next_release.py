"""What a next release might add: columns that may be empty in tables that are written all the time, and a table.

Revision ID: next
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what today's program neither reads nor writes."""
    for table in ("check_in", "device_state", "job_run", "sign_in_session"):
        op.add_column(table, sa.Column("of_next_release", sa.String(40), nullable=True))
    op.create_table("next_release", sa.Column("id", sa.Integer, primary_key=True))
