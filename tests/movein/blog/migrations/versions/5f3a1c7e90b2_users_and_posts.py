"""users and posts

Revision ID: 5f3a1c7e90b2
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "5f3a1c7e90b2"
down_revision = None


def upgrade():
    op.create_table(
        "user",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("email", sa.String(120), nullable=False),
        sa.Column("password_hash", sa.String(256)),
        sa.Column("last_seen", sa.DateTime()),
    )
    op.create_index("ix_user_username", "user", ["username"], unique=True)
    op.create_index("ix_user_email", "user", ["email"], unique=True)
    op.create_table(
        "post",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("body", sa.String(140), nullable=False),
        sa.Column("timestamp", sa.DateTime(), nullable=False),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("user.id"), nullable=False),
    )
    op.create_index("ix_post_timestamp", "post", ["timestamp"])
    op.create_index("ix_post_user_id", "post", ["user_id"])


def downgrade():
    op.drop_table("post")
    op.drop_table("user")
