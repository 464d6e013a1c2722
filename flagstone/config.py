"""Every setting of the platform, and the one place that reads the environment; app/settings.py has the application's.

APP_ENV picks the class. Each annotated setting of that class can be set by an environment variable of its own name,
or by NAME_FILE, the path of a file that holds the value (a Compose secret). An empty variable counts as not set.

This module imports the standard library only: gunicorn's master process checks the settings through it, before gevent
has patched anything.
"""

import os
import re
from collections.abc import Callable, Mapping
from email.utils import parseaddr
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from ipaddress import ip_network
from math import isfinite
from pathlib import Path
from types import ModuleType, NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from flask import Flask

# In example values. None is so short that a random key contains it by chance.
EXAMPLE_WORDS = ("change", "default", "development", "example", "insecure", "password", "placeholder", "secret")


# Parts of the platform, by their modules, that no other part and no container needs.
OPTIONAL = ("background", "cors", "csrf", "errors", "https", "mail", "metrics", "openapi", "sentry", "streams")
OPTIONAL += ("csp", "edge", "ops", "sessions", "static_files", "uploads", "validation")


class ConfigError(SystemExit):
    """All faults of a configuration at once. Uncaught, it ends the process with its message and no traceback."""

    def __init__(self, faults: dict[str, str]):
        self.faults = faults
        lines = [f"{name}: {expected}" for name, expected in faults.items()]
        super().__init__("\n  - ".join(["The app cannot start with this configuration:", *lines]))


class BaseConfig:
    """What all environments share: the defaults, and what each one means."""

    PROJECT_NAME: str = "flagstone"  # of containers and images, of the API and of pages
    RELEASE: str = "unknown"  # what is deployed: a tag or a commit
    # Parts of the platform that this application does without; the others need the rest.
    WITHOUT: list[Literal[*OPTIONAL]] = []  # noqa: RUF012
    FLAGSTONE_OFFLINE: str | None = None  # set in images built on stand-ins (offline/)
    SECRET_KEY: str = "development-only"  # noqa: S105 - Production refuses it

    LOG_LEVEL: Literal["debug", "info", "warning", "error"] = "info"
    LOG_FORMAT: Literal["json", "text"] = "json"
    LOG_FILE: str | None = None  # beside stdout: a file that rotates
    METRICS: bool = True
    OPS_USER: str | None = None  # not set: no /ops/
    OPS_PASSWORD: str | None = None
    SENTRY_DSN: str | None = None  # not set: nothing is sent
    SENTRY_TRACES_SAMPLE_RATE: float = 0  # the part of requests whose timing is sent: 0 to 1

    # Proxies in front of the app, each of which sets X-Forwarded-For, -Proto and -Host. 0: those headers are ignored.
    PROXY_HOPS: int = 0
    TRUSTED_PROXIES: list[str] = []  # noqa: RUF012 - their names or networks; empty: this machine
    MAX_CONTENT_LENGTH: int = 10 * 1024 * 1024  # bytes
    TRUSTED_HOSTS: list[str] | None = None  # whatever else is asked for is refused; .example.com: each name under it
    FORCE_HTTPS: bool = False  # send plain requests to https, where no nginx of ours does
    CORS_ORIGINS: list[str] = []  # noqa: RUF012 - other sites whose pages may use the API

    UPLOAD_FOLDER: str | None = None  # files of users; not set: `uploads` in the instance folder
    UPLOADS_AT_ONCE: int = 4  # by one process; more of them wait for some seconds
    UPLOAD_DISK_RESERVE: int = 1024**3  # bytes of the disk that uploads leave free

    DATABASE_URL: str | None = None  # not set: SQLite, in a file of the instance folder or a test's memory
    DATABASE_PASSWORD: str | None = None  # goes into the URL
    DATABASE_POOL_SIZE: int = 30  # connections that one process opens as it needs them, and keeps
    DATABASE_MAX_OVERFLOW: int = 0  # more under load, each for one request: opening one costs more than most requests
    DATABASE_POOL_TIMEOUT: float = 5  # seconds to wait for a free one
    DATABASE_POOL_RECYCLE: int = 3600  # seconds after which a connection is replaced
    DATABASE_POOL_PRE_PING: bool = True  # test a connection before use: no error page after the database restarted
    DATABASE_CONNECT_TIMEOUT: float = 5  # seconds
    DATABASE_TIMEOUT: float = 30  # seconds that one request may spend on a statement; a command may take longer
    DATABASE_SLOW_STATEMENT: float = 1  # seconds from which on a statement is logged, without its values; 0: none is

    REDIS_URL: str | None = None  # not set: a cache in each process
    REDIS_PASSWORD: str | None = None
    REDIS_TIMEOUT: float = 0.5  # seconds; slower than that is no cache
    CACHE_DEFAULT_TIMEOUT: int = 60  # seconds

    SECRET_KEY_FALLBACKS: list[str] = []  # noqa: RUF012 - former keys: sessions made with them stay good

    WORKER_PROCESSES: int = 1  # tasks that one worker works on at once
    TASK_TIME_LIMIT: int = 60  # seconds until a task is killed; one of a worker that died comes back after three times

    MAIL_SERVER: str | None = None  # not set: mail goes to the log, its text only in development
    MAIL_PORT: int | None = None  # not set: 465 with MAIL_USE_SSL, 587 with MAIL_USE_TLS, else 25
    MAIL_USE_TLS: bool = False  # STARTTLS, required
    MAIL_USE_SSL: bool = False  # TLS from the first byte
    MAIL_USERNAME: str | None = None
    MAIL_PASSWORD: str | None = None
    MAIL_DEFAULT_SENDER: str = "noreply@localhost"
    MAIL_TIMEOUT: float = 10  # seconds to wait for each answer of the server
    MAIL_EXPIRES: int = 24 * 3600  # seconds after which a mail that no server took is given up

    SESSION_COOKIE_SAMESITE: Literal["Lax", "Strict", "None"] = "Lax"
    SESSION_COOKIE_SECURE: bool = False
    # A client sees the error page in every environment; the traceback goes to the log.
    PROPAGATE_EXCEPTIONS: bool = False
    DEBUG: bool = False
    TESTING: bool = False

    @property
    def SESSION_COOKIE_PARTITIONED(self) -> bool:  # noqa: N802 - Flask's name
        """One for each site that frames this one: browsers send no other cookie there."""
        return self.SESSION_COOKIE_SAMESITE == "None"

    def faults(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What is wrong although it parses: by setting what is expected, never the value."""
        faults = {}
        for name, schemes in {"DATABASE": ("postgresql", "postgres", "sqlite"), "REDIS": ("redis", "rediss")}.items():
            url, password = getattr(self, f"{name}_URL"), getattr(self, f"{name}_PASSWORD")
            if url and not is_url(url, schemes):
                faults[f"{name}_URL"] = f"expected {schemes[0]}://..."
            elif url and password and urlsplit(url).password:
                faults[f"{name}_PASSWORD"] = f"expected no second password, {name}_URL has one"
        if not all(is_network(proxy) or re.fullmatch(r"[\w.-]*[a-z][\w.-]*", proxy) for proxy in self.TRUSTED_PROXIES):
            faults["TRUSTED_PROXIES"] = "expected names or networks, such as nginx or 10.0.0.0/8"
        if not all(re.fullmatch(r"https?://[a-z0-9.-]+(:\d+)?", origin) for origin in self.CORS_ORIGINS):
            faults["CORS_ORIGINS"] = "expected scheme://host, such as https://example.com, and nothing after it"
        if not all(re.fullmatch(r"[a-z0-9.-]+", host) for host in self.TRUSTED_HOSTS or []):
            faults["TRUSTED_HOSTS"] = "expected names such as example.com, no scheme, no port"
        try:
            Path(self.LOG_FILE or os.devnull).open("a").close()
        except OSError as error:
            faults["LOG_FILE"] = f"expected a file that can be written ({error.strerror})"
        if self.OPS_USER and (":" in self.OPS_USER or len(self.OPS_PASSWORD or "") < 20):
            faults["OPS_USER"] = "expected a name without a colon, and in OPS_PASSWORD at least 20 characters"
        if not self.UPLOADS_AT_ONCE:
            faults["UPLOADS_AT_ONCE"] = "expected a number of uploads, 1 or more"
        if self.SESSION_COOKIE_SAMESITE == "None" and not self.SESSION_COOKIE_SECURE:
            faults["SESSION_COOKIE_SAMESITE"] = "expected SESSION_COOKIE_SECURE with None, or browsers drop the cookie"
        if self.SENTRY_DSN and not is_dsn(self.SENTRY_DSN):
            faults["SENTRY_DSN"] = "expected https://key@host/project"
        if self.SENTRY_TRACES_SAMPLE_RATE > 1:
            faults["SENTRY_TRACES_SAMPLE_RATE"] = "expected a number from 0 to 1"
        faults |= as_seconds(self, "TASK_TIME_LIMIT")
        if self.MAIL_USE_TLS and self.MAIL_USE_SSL:
            faults["MAIL_USE_SSL"] = "expected either MAIL_USE_TLS or MAIL_USE_SSL, both are on"
        elif self.MAIL_USERNAME and not (self.MAIL_USE_TLS or self.MAIL_USE_SSL):
            faults["MAIL_USE_TLS"] = "expected MAIL_USE_TLS or MAIL_USE_SSL, a password does not travel in the clear"
        if bool(self.MAIL_USERNAME) != bool(self.MAIL_PASSWORD):
            missing = "MAIL_PASSWORD" if self.MAIL_USERNAME else "MAIL_USERNAME"
            faults[missing] = "expected MAIL_USERNAME and MAIL_PASSWORD together, it is not set"
        if self.MAIL_PORT and self.MAIL_PORT > 65535:
            faults["MAIL_PORT"] = "expected a port, at most 65535"
        if "@" not in parseaddr(self.MAIL_DEFAULT_SENDER)[1]:
            faults["MAIL_DEFAULT_SENDER"] = "expected an address, such as Shop <noreply@example.com>"
        return faults


class DevConfig(BaseConfig):
    """A laptop, with or without Docker."""

    APP_ENV = "Dev"
    DEBUG: bool = True
    LOG_FORMAT: Literal["json", "text"] = "text"
    TEMPLATES_AUTO_RELOAD: bool = True  # `flask run` without --debug switches DEBUG off


class TestConfig(BaseConfig):
    """Tests that need no services."""

    APP_ENV = "Test"
    LOG_FORMAT: Literal["json", "text"] = "text"
    TESTING: bool = True


class ProductionConfig(BaseConfig):
    """A server. Does not start with anything that is fit only for development."""

    APP_ENV = "Production"
    SECRET_KEY: str = ""
    SESSION_COOKIE_SECURE: bool = True
    SESSION_COOKIE_NAME: str = "__Host-session"  # browsers take it from this very host only, by https
    REMEMBER_COOKIE_SECURE = True  # Flask-Login's

    def faults(self, environ: Mapping[str, str]) -> dict[str, str]:
        faults = super().faults(environ)
        example = any(word in self.SECRET_KEY.lower() for word in EXAMPLE_WORDS)
        if example or len(self.SECRET_KEY) < 32 or len(set(self.SECRET_KEY)) < 8:
            faults |= {"SECRET_KEY": "expected at least 32 random characters, and no example"}
        if not self.DATABASE_URL:
            faults["DATABASE_URL"] = "expected postgresql://user@host/name, it is not set"
        on = {"DEBUG": self.DEBUG, "TESTING": self.TESTING}
        on["FLASK_DEBUG"] = environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no")  # as Flask reads it
        return faults | {name: "expected to be off in Production" for name, value in on.items() if value}


ENVIRONMENTS = {config.APP_ENV: config for config in (DevConfig, ProductionConfig, TestConfig)}


def load(environ: Mapping[str, str] = os.environ) -> BaseConfig:
    """The configuration that APP_ENV picks, Dev where it is not set, with the application's settings on top."""
    environment = ENVIRONMENTS.get(environ.get("APP_ENV") or "Dev")
    if environment is None:
        raise ConfigError({"APP_ENV": f"expected one of {', '.join(ENVIRONMENTS)}"})
    own = part_of_app("settings")
    own = getattr(own, "Settings", None)
    config = type(environment.__name__, (own, environment), {})() if own else environment()
    unreadable = override(config, environ)
    if faults := config.faults(environ) | unreadable:
        raise ConfigError(faults)
    return config


def apply(settings: BaseConfig, app: Flask) -> None:
    """Into app.config. What the application has set by itself stays, where the environment says nothing else."""
    for name in filter(str.isupper, dir(settings)):
        theirs = app.config.get(name, app.default_config.get(name))
        if theirs == app.default_config.get(name) or name in vars(settings).get("given", ()):
            app.config[name] = getattr(settings, name)


def part_of_app(name: str) -> ModuleType | None:
    """A file of the application's package, by its path: to import the package would load Flask, and too early."""
    package = re.match(r"\w+", os.environ.get("APP_MODULE") or "app")
    found = package and find_spec(package[0])
    for folder in (found and found.submodule_search_locations) or []:
        if (path := Path(folder, f"{name}.py")).exists():
            spec = spec_from_file_location(f"{package[0]}.{name}", path)
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return None


def as_seconds(settings: object, name: str) -> dict[str, str]:
    """The fault of a time after which something ends, if it has one."""
    if 1 <= getattr(settings, name) <= 10**9:
        return {}
    return {name: "expected a number of seconds, 1 or more, below thirty years"}


def override(settings: object, environ: Mapping[str, str]) -> dict[str, str]:
    """Set the annotated settings from the environment, and `given` to their names.

    Returns what could not be read: by setting what is expected.
    """
    faults = {}
    for name, kind in get_type_hints(type(settings)).items():
        try:
            text = read(name, environ, several=get_origin(kind) is list)
            if text:
                setattr(settings, name, parse(text, kind))
                vars(settings).setdefault("given", set()).add(name)
        except ValueError as error:
            faults[name] = str(error)
    return faults


def read(name: str, environ: Mapping[str, str], *, several: bool = False) -> str | None:
    """The text of one setting, from NAME or from the file that NAME_FILE points to; of a list, from both."""
    path, text = environ.get(f"{name}_FILE"), environ.get(name)
    if not path:
        return text
    if text and not several:
        raise ValueError(f"expected either {name} or {name}_FILE, both are set")
    try:
        return ",".join(filter(None, (text, Path(path).read_text().rstrip("\r\n"))))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ValueError(f"expected a readable file in {name}_FILE ({reason})") from None


def parse(text: str, kind: Any) -> Any:
    """The value that the text stands for. A ValueError says what was expected; the text itself may be a secret."""
    options = [option for option in get_args(kind) if option is not NoneType]
    if get_origin(kind) is Literal:
        if text not in options:
            raise ValueError(f"expected one of {', '.join(options)}")
        return text
    if get_origin(kind) is list:
        return [parse(item.strip(), options[0]) for item in text.split(",") if item.strip()]
    if options:  # an optional setting
        return parse(text, options[0])
    convert, expected = PARSERS[kind]
    try:
        return convert(text)
    except ValueError:
        raise ValueError(f"expected {expected}") from None


def boolean(text: str) -> bool:
    if text.lower() not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError
    return text.lower() in ("1", "true", "yes", "on")


def number(text: str, convert: Callable[[str], float]) -> float:
    value = convert(text)
    if not isfinite(value) or value < 0:
        raise ValueError
    return value


def is_network(text: str) -> bool:
    try:
        ip_network(text)
        return True
    except ValueError:
        return False


def is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return "://" in text and parts.scheme.partition("+")[0] in schemes and (parts.port or True)
    except ValueError:
        return False


def with_password(url: str, password: str | None) -> str:
    scheme, _, rest = url.partition("://")
    user, _, host = rest.rpartition("@")
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}" if password else url


def is_dsn(text: str) -> bool:
    """Whether this is an address of Sentry's: a key for a user, and the number of a project for a path."""
    return is_url(text, ("http", "https")) and re.fullmatch(r"\w+://[^/@]+@[^/@]+/(.+/)?\d+", text) is not None


PARSERS: dict[type, tuple[Callable[[str], Any], str]] = {
    str: (str, "text"),
    int: (lambda text: number(text, int), "a whole number, 0 or more"),
    float: (lambda text: number(text, float), "a number, 0 or more"),
    bool: (boolean, "true or false (1/0, yes/no, on/off)"),
}
