"""Migrations that two releases can live with: `python tests/migrations.py FOLDER`, a part of `make lint`.

Each migration, as the SQL that it is on PostgreSQL, through squawk. What takes something away from the release that
still serves, or locks a table while it is read through, is refused, unless the file says why it may:

    # allow ban-drop-column: no release since 1.3.0 reads it

docs/deploy.md shows how the same is done in steps.
"""

import importlib.util
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations

# Matters of taste, and what flagstone/services.yaml does for all migrations. The rest of squawk's rules hold:
# https://squawkhq.com/docs/rules
NOT_OURS = "prefer-text-field,prefer-bigint-over-int,prefer-bigint-over-smallint,prefer-identity,prefer-robust-stmts"
NOT_OURS += (
    ",prefer-timestamptz,prefer-timestamp-tz,require-lock-timeout,require-statement-timeout,require-timeout-settings"
)
ALLOWED = re.compile(r"^# allow ([a-z-]+): \S.+$", re.MULTILINE)


def as_sql(path: Path) -> str:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    sql = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": sql})
    with Operations.context(context):
        migration.upgrade()
    allowed = "".join(f"-- squawk-ignore-file {rule}\n" for rule in ALLOWED.findall(path.read_text()))
    return f"{allowed}BEGIN;\n{sql.getvalue()}COMMIT;\n"


def main(folder: Path) -> int:
    with tempfile.TemporaryDirectory() as copies:
        files = [Path(copies, f"{path.stem}.sql") for path in sorted(folder.glob("*.py"))]
        for file in files:
            file.write_text(as_sql(folder / f"{file.stem}.py"))
        options = ["--pg-version", "18", "--exclude", NOT_OURS]
        return subprocess.run(["squawk", *options, *files], check=False).returncode if files else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
