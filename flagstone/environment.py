"""The environment as an application expects it that knows nothing of this stack: addresses with their passwords, keys.

flagstone/wsgi.py completes it before it loads the application. Another program gets it by
`python -m flagstone.environment rq worker`: what is added is in no `docker inspect`.
"""

import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path

from flagstone.config import is_url, with_password

SECRETS = "/run/secrets/"


def complete(environ: MutableMapping[str, str] = os.environ) -> None:
    """NAME for each NAME_FILE that is a Compose secret, and the passwords in the addresses that they are for.

    What cannot be read, or is set twice, stays as it is: flagstone/config.py says what is wrong with it.
    """
    for name in [name.removesuffix("_FILE") for name, path in environ.items() if path.startswith(SECRETS)]:
        with suppress(OSError, ValueError):
            text = Path(environ[f"{name}_FILE"]).read_text().rstrip("\r\n")
            if not environ.get(name):
                environ[name] = text
                del environ[f"{name}_FILE"]
    for service, schemes in {"DATABASE": ("postgresql", "postgres"), "REDIS": ("redis", "rediss")}.items():
        url, password = environ.get(f"{service}_URL", ""), environ.get(f"{service}_PASSWORD")
        if password and is_url(url, schemes) and not has_password(url):
            environ[f"{service}_URL"] = with_password(url, password)
            del environ[f"{service}_PASSWORD"]


def has_password(url: str) -> bool:
    return ":" in url.partition("://")[2].rpartition("@")[0]


if __name__ == "__main__":
    complete()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the command that the container was started with
