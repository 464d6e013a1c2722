"""One list of settings: .env.example names what the compose files and the platform read, app/.env.example what the
application adds, and nothing else."""

import re
from pathlib import Path
from typing import get_type_hints

from flagstone.config import ENVIRONMENTS
from tests.conftest import ROOT
from tests.probe.settings import Settings

# By the compose files, by secrets, by the base image, or for a debugger only.
SET_BY_US = {"SECRET_KEY", "DATABASE_PASSWORD", "REDIS_PASSWORD", "OPS_PASSWORD", "PROXY_HOPS", "SESSION_COOKIE_SECURE"}
SET_BY_US |= {"UPLOAD_FOLDER", "DEBUG", "TESTING", "PROPAGATE_EXCEPTIONS", "FLAGSTONE_OFFLINE"}
# By the code of the application, not by a machine: app/services.yaml.
SET_BY_US |= {"WITHOUT"}
COMPOSE_FILES = ("app/services.yaml", "compose.yaml", "compose.prod.yaml")
COMPOSE_FILES += ("flagstone/services.yaml", "nginx/services.yaml")  # defaults: the last
COMPOSE_FILES += ("swarm/compose.yaml",)
SCRIPTS = ("scripts/deploy.sh", "swarm/stack.sh")
COMPOSE_OWN = {"COMPOSE_PROJECT_NAME"}
EXAMPLE = Path(".env.example").read_text()
EXAMPLES = EXAMPLE + Path("app/.env.example").read_text()


def documented(text=EXAMPLES):
    return re.findall(r"^#?([A-Z][A-Z_]+)=", text, re.MULTILINE)


def read_by_compose():
    text = "".join(Path(file).read_text() for file in COMPOSE_FILES)
    names = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text)) - COMPOSE_OWN
    return {name for name in names if not name.startswith("TEST_")}  # those are tests/run.sh's


def test_each_variable_is_documented_once():
    own = EXAMPLES.removeprefix(EXAMPLE)
    chosen = set(
        re.findall(r"^([A-Z][A-Z_]+)=", own, re.MULTILINE)
    )  # `make setup` takes the application's line for them
    for names in (documented(EXAMPLE), documented(own), [*(set(documented(EXAMPLE)) - chosen), *documented(own)]):
        assert len(names) == len(set(names))


def test_the_compose_files_read_only_what_is_documented():
    assert read_by_compose() <= set(documented())


def test_what_is_documented_is_read_by_something():
    application = {*get_type_hints(Settings)}
    gunicorn = set(
        re.findall(r"\b(GUNICORN_[A-Z_]+|WEB_CONCURRENCY)\b", Path("flagstone/gunicorn.conf.py").read_text())
    )
    scripts = set(re.findall(r"\bsetting ([A-Z_]+)\b", "".join(Path(file).read_text() for file in SCRIPTS)))
    images = set(re.findall(r"\$\{([A-Z_]+)", Path("scripts/base-images.sh").read_text()))
    assert set(documented()) <= read_by_compose() | application | gunicorn | scripts | images


def test_every_setting_is_documented():
    secrets = {name.upper() for name in re.findall(r"secrets/(\w+)", Path("app/services.yaml").read_text())}
    assert {*get_type_hints(Settings)} - SET_BY_US - secrets <= set(documented())


def test_the_defaults_shown_are_the_defaults():
    text = "".join(Path(file).read_text() for file in COMPOSE_FILES)
    text = re.sub(r"\$\{[A-Z_]+:-\}", "", text)  # nothing, maybe within another default
    in_compose = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text))
    shown = dict(re.findall(r"^#([A-Z_]+)=(.+)$", EXAMPLES, re.MULTILINE))
    for name, value in shown.items():
        if name in in_compose:
            assert value == in_compose[name], name
        elif hasattr(Settings, name):
            assert value == str(getattr(Settings, name)), name


def table_rows(heading):
    """The cells of each row of the tables under a heading of docs/configuration.md, without their back-quotes."""
    section = Path("docs/configuration.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \|(.*)\|$", section, re.MULTILINE)
    return {name: [cell.strip().strip("`") for cell in rest.split("|")] for name, rest in rows}


def test_the_page_on_configuration_has_the_settings_of_env_example_with_their_defaults():
    shown = dict(re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    rows = table_rows("All of them")
    assert [*rows] == [*shown]
    assert {name: default for name, (default, _) in rows.items()} == shown | {
        "CSP": "this site only",
        "PERMISSIONS_POLICY": "none of eight",
    }


def test_the_page_on_configuration_says_who_reads_each():
    for name, (_, readers) in table_rows("All of them").items():
        assert ("app" in readers.split(", ")) == (name in get_type_hints(Settings)), name
        assert ("compose" in readers.split(", ")) == (name in read_by_compose()), name


def test_the_page_on_limits_names_settings_and_files_that_are_there():
    page = Path("docs/limits.md").read_text()
    code = "".join(file.read_text() for folder in ("flagstone", "app") for file in (ROOT / folder).rglob("*.py"))
    settings = documented(EXAMPLE + (ROOT / "app/.env.example").read_text())
    for name in re.findall(r"`([A-Z_]{4,})`", page):
        assert name in settings or re.search(rf"^{name} = ", code, re.MULTILINE), name
    for file in re.findall(r"`([\w./-]+\.(?:py|yaml|conf|template))`", page):
        assert (ROOT / file).exists(), file


def test_the_page_on_configuration_has_each_secret_and_what_differs_by_environment():
    secrets = re.findall(r"file: \./secrets/(\w+)", Path("compose.prod.yaml").read_text())
    assert [*table_rows("Secrets")] == secrets
    for name, values in table_rows("What differs by environment").items():
        for environment, value in zip(("Dev", "Test", "Production"), values, strict=True):
            if value not in ("required", "refused", "an example", "SQLite", "made at the start", "session"):
                assert str(getattr(ENVIRONMENTS[environment], name)) == value, (environment, name)
