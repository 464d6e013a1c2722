"""The users, and whose a note is."""

# allow adding-foreign-key-constraint: of a first release, whose table is small
# allow constraint-missing-not-valid: likewise

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "user",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("email", sa.String(254), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    with op.batch_alter_table("note") as note:
        note.add_column(sa.Column("author_id", sa.BigInteger().with_variant(sa.Integer, "sqlite")))
        note.create_foreign_key("note_author_id_fkey", "user", ["author_id"], ["id"])


def downgrade() -> None:
    with op.batch_alter_table("note") as note:
        note.drop_constraint("note_author_id_fkey", type_="foreignkey")
        note.drop_column("author_id")
    op.drop_table("user")
