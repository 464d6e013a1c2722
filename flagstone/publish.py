"""Puts the static files of a release where nginx reads them: a step of its own at each release, before `app` starts.

    python -m flagstone.publish [--keep RELEASE...]

Files with a fingerprint are only ever added, so that pages of the former release and of this one find theirs while
both serve. Files with plain names are replaced, each by one rename. With --keep, what none of these releases has goes.
"""

import filecmp
import json
import os
import re
import shutil
import sys
from pathlib import Path

BUILT = Path("/srv/static")  # in this image: what nginx/static.py made, and the files for the root of the site
PUBLISHED = Path("/srv/www")
FINGERPRINTED = re.compile(r"\.[0-9a-f]{12}(\.[^./]+)?$")  # as nginx/static.py and nginx/http/static.conf have it


def publish(built: Path, published: Path, release: str) -> int:
    """Returns the number of files that are new or have changed."""
    names = sorted(file.relative_to(built).as_posix() for file in built.rglob("*") if file.is_file())
    changed = sum(copy(built / name, published / name) for name in names)
    # A plain name that this release has not would be served from the former one for good.
    former = {name for names in releases(published).values() for name in names}
    for name in former - {*names}:
        if not FINGERPRINTED.search(name):
            (published / name).unlink(missing_ok=True)
    write(published / "releases" / f"{release}.json", json.dumps(names))
    return changed


def copy(source: Path, target: Path) -> bool:
    """By rename, so that nobody is sent half a file; with the time of the source, of which nginx makes the ETag."""
    if target.exists() and filecmp.cmp(source, target, shallow=False):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.new")
    shutil.copy2(source, new)
    new.replace(target)
    return True


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


def releases(published: Path) -> dict[str, list[str]]:
    return {file.stem: json.loads(file.read_text()) for file in (published / "releases").glob("[!.]*.json")}


def prune(published: Path, keep: list[str]) -> int:
    """Remove what no kept release has. Returns the number of files."""
    known = releases(published)
    for release in known.keys() - {*keep}:
        (published / "releases" / f"{release}.json").unlink()
    gone = {name for names in known.values() for name in names}
    gone -= {name for release, names in known.items() if release in keep for name in names}
    for name in gone:
        (published / name).unlink(missing_ok=True)
    return len(gone)


def main() -> str:
    if sys.argv[1:2] == ["--keep"]:
        return f"{prune(PUBLISHED, sys.argv[2:])} static files of former releases removed"
    return f"{publish(BUILT, PUBLISHED, os.environ['RELEASE'])} static files are new or have changed"


if __name__ == "__main__":
    try:
        print(main())
    except OSError as error:  # most of all: no room
        sys.exit(f"the static files of this release are not published: {error}")
