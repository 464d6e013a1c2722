"""tests/migrations.py: which migrations two releases cannot live with."""

from collections import namedtuple

import pytest

from tests.migrations import main

HEAD = 'import sqlalchemy as sa\nfrom alembic import op\n\nrevision = "1"\ndown_revision = None\n'


Result = namedtuple("Result", "returncode stdout")


@pytest.fixture
def lint(tmp_path, capfd):
    def run(body, head=HEAD):
        (tmp_path / "0001.py").write_text(f"{head}\n\ndef upgrade():\n    {body}\n")
        return Result(main(tmp_path), capfd.readouterr().out)

    return run


REFUSED = {
    "ban-drop-column": 'op.drop_column("book", "author")',
    "ban-drop-table": 'op.drop_table("book")',
    "renaming-column": 'op.alter_column("book", "author", new_column_name="writer")',
    "renaming-table": 'op.rename_table("book", "memo")',
    "adding-required-field": 'op.add_column("book", sa.Column("age", sa.Integer, nullable=False))',
    "adding-not-nullable-field": 'op.alter_column("book", "author", nullable=False)',
    "changing-column-type": 'op.alter_column("book", "author", type_=sa.Text)',
    "require-concurrent-index-creation": 'op.create_index("i", "book", ["author"])',
}


@pytest.mark.parametrize("rule", REFUSED)
def test_what_the_release_that_serves_cannot_bear_is_refused(lint, rule):
    result = lint(REFUSED[rule])
    assert result.returncode != 0
    assert rule in result.stdout


@pytest.mark.parametrize("rule", REFUSED)
def test_it_passes_with_a_reason(lint, rule):
    assert lint(REFUSED[rule], f"# allow {rule}: nothing reads it\n{HEAD}").returncode == 0
    assert lint(REFUSED[rule], f"# allow {rule}:\n{HEAD}").returncode != 0, "and not without one"


@pytest.mark.parametrize(
    "body",
    [
        'op.add_column("book", sa.Column("age", sa.Integer))',
        'op.add_column("book", sa.Column("age", sa.Integer, nullable=False, server_default="0"))',
        'op.create_table("memo", sa.Column("id", sa.BigInteger), sa.Column("x", sa.Text, index=True))',
        'op.execute("UPDATE book SET age = 0")',
    ],
)
def test_what_both_can_live_with_passes(lint, body):
    result = lint(body)
    assert result.returncode == 0, result.stdout


def test_an_index_that_locks_nothing_passes(lint):
    body = (
        "with op.get_context().autocommit_block():\n"
        '        op.create_index("i", "book", ["author"], postgresql_concurrently=True)'
    )
    result = lint(body)
    assert result.returncode == 0, result.stdout
