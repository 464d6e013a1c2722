"""The file that a note carries."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("note") as note:
        note.add_column(sa.Column("file_key", sa.String(32)))
        note.add_column(sa.Column("file_name", sa.String(200)))
        note.add_column(sa.Column("file_type", sa.String(50)))


def downgrade() -> None:
    with op.batch_alter_table("note") as note:
        for column in ("file_key", "file_name", "file_type"):
            note.drop_column(column)
