"""Which container of `app` gets the requests: nginx connects to live.sock, a symlink that one rename moves.

Each container listens on a socket of its own in a folder that nginx shares. `python -m flagstone.live` makes its own
the live one: a request that has arrived stays where it is, each later one comes here. Nothing asks DNS, and nothing is
reloaded. Where nobody listens (the first start, a crash), a container that serves takes the place by itself.

Another symlink there, `pages`, is in the key of each page that nginx keeps: what it leads to has a new name each time.
"""

import logging
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

FOLDER = Path("/run/app")
LIVE = FOLDER / "live.sock"
OUTLIVED = 5  # seconds that a former target of `pages` stays

logger = logging.getLogger(__name__)


def own() -> Path:
    return FOLDER / f"{socket.gethostname()}.sock"


def take() -> None:
    """Atomic: at each moment live.sock leads to one of the two."""
    lead(LIVE, own().name)
    forget_pages()  # and not before: the former release would fill in its own


def lead(link: Path, name: str) -> None:
    new = FOLDER / f".{uuid4().hex}"
    new.symlink_to(name)
    new.replace(link)


def forget_pages() -> None:
    """Nothing that nginx keeps (flagstone/edge.py) is shown any more. Call it when a change is committed."""
    if not FOLDER.is_dir():  # no nginx of ours
        return
    pages, name = FOLDER / "pages", f"pages.{uuid4().hex}"
    try:
        if pages.exists():
            os.utime(pages)  # of what it leads to: nginx may be on its way there
        (FOLDER / name).touch()
        lead(pages, name)
        for former in FOLDER.glob("pages.*"):
            with suppress(FileNotFoundError):  # another process does the same
                if former.stat().st_mtime < time.time() - OUTLIVED:
                    former.unlink()
    except OSError as error:  # no room: the change is committed all the same
        logger.error("Pages that nginx keeps are shown until they expire: %s", error)


def take_if_vacant() -> None:
    if not own().is_socket():
        return  # no folder, or on its way out
    if LIVE.is_symlink() and LIVE.readlink().name == own().name:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(LIVE))
        except FileNotFoundError, ConnectionRefusedError:
            take()
        except OSError:
            pass  # busy: somebody listens


if __name__ == "__main__":
    if not own().is_socket():
        sys.exit(f"live: nobody listens at {own()}")
    take()
