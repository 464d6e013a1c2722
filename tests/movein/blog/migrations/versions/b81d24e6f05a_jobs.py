"""jobs

Revision ID: b81d24e6f05a
Revises: 5f3a1c7e90b2
"""

import sqlalchemy as sa
from alembic import op

revision = "b81d24e6f05a"
down_revision = "5f3a1c7e90b2"


def upgrade():
    op.create_table(
        "job",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("description", sa.String(128)),
        sa.Column("result", sa.Text()),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("user.id"), nullable=False),
    )
    op.create_index("ix_job_name", "job", ["name"])


def downgrade():
    op.drop_table("job")
