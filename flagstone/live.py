"""Which container of `app` gets the requests: nginx connects to live.sock, a symlink that one rename moves.

Each container listens on a socket of its own in a folder that nginx shares. `python -m flagstone.live` makes its own
the live one: a request that has arrived stays where it is, each later one comes here. Nothing asks DNS, and nothing is
reloaded. Where nobody listens (the first start, a crash), a container that serves takes the place by itself.
"""

import os
import socket
import sys
from pathlib import Path

FOLDER = Path("/run/app")
LIVE = FOLDER / "live.sock"


def own() -> Path:
    return FOLDER / f"{socket.gethostname()}.sock"


def take() -> None:
    """Atomic: at each moment live.sock leads to one of the two."""
    new = FOLDER / f"{socket.gethostname()}.new.{os.getpid()}"
    new.symlink_to(own().name)
    new.replace(LIVE)


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
