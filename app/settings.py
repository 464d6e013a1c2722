"""The settings of this application, beside those of the platform (flagstone/config.py), and set like them.

Imports nothing of the application: gunicorn's master process reads this, before gevent has patched anything.
"""

from collections.abc import Mapping

from flagstone.config import BaseConfig, as_seconds


class Settings(BaseConfig):
    MSG: str = "Hello, world"  # shown on the status page

    REGISTRATION: bool = True  # anybody may sign up; off: flask user create
    SESSION_IDLE: int = 7 * 24 * 3600  # seconds without a request after which a session ends;
    SESSION_LIFETIME: int = 30 * 24 * 3600  # and seconds after which it ends in any case
    JWT_PRIVATE_KEY: str | None = None  # RSA, as PEM; not set: one that lasts as long as the process
    JWT_PUBLIC_KEYS: str | None = None  # of keys that signed before it, as PEM
    JWT_ISSUER: str = "flagstone"  # what tokens say of where they come from, and whom they are for;
    JWT_AUDIENCE: str = "flagstone"  # others are refused
    JWT_ACCESS_TOKEN_EXPIRES: int = 15 * 60  # seconds
    JWT_REFRESH_TOKEN_EXPIRES: int = 30 * 24 * 3600  # seconds

    REPORT_EXPIRES: int = 7 * 24 * 3600  # seconds that a report is kept
    REPORT_STEP_SECONDS: float = 0.3  # a pause after each tenth, so that the demo has a progress to show

    def faults(self, environ: Mapping[str, str]) -> dict[str, str]:
        faults = super().faults(environ)
        for name in ("SESSION_IDLE", "SESSION_LIFETIME", "JWT_ACCESS_TOKEN_EXPIRES", "JWT_REFRESH_TOKEN_EXPIRES"):
            faults |= as_seconds(self, name)
        if self.APP_ENV == "Production" and not self.JWT_PRIVATE_KEY:
            faults["JWT_PRIVATE_KEY"] = "expected an RSA key, `make setup` makes one"
        return faults
