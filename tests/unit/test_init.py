"""`make init` with each answer, on a clone. It removes this file with starter/, for it is done once."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shell import run

CHECKOUT = Path(__file__).parents[2]  # as it is: in the copy that tests work in, app/ may be another one
NOT_TRACKED = shutil.ignore_patterns(".git", ".env", "secrets", "artifacts", "__pycache__", ".*_cache", "gw*", "copies")
MAKE = shutil.which("make")
PERSON = {f"GIT_{role}_{what}": "test@example.test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

# Words of the demo; and where they, or a word like them, are English.
DEMO = (
    r"\bapp[./](auth|notes|reports)|/api/(notes|reports|token)|/(register|forgot|account)\b|\bnotes?\b"
    r"|\bJWT_|jwt_|jwt-|REPORT_(EXPIRES|STEP)|\bREGISTRATION\b|SESSION_(IDLE|LIFETIME)|flask user|make (user|seed)"
    r"|\bsign.ins?\b|current_user|login_required|argon2|zxcvbn|session_epoch"
)
ENGLISH = r"too full to note that|step note|say note|self\.note\(|def note\("
ENGLISH += r"|everybody has to sign in again|SELECT .*current_user|sign in or pay"


class Clone:
    def __init__(self, path):
        self.path = path

    def git(self, *arguments, check=True):
        return run("git", "-C", str(self.path), *arguments, check=check, **PERSON).stdout

    def read(self, name):
        return (self.path / name).read_text()

    def init(self, **answers):
        """Runs `make init`; the tasks that it ends with are only written down, in `made`."""
        command = [f"{name}={value}" for name, value in answers.items()]
        return run(MAKE, "-C", str(self.path), "init", *command, check=False, stdin="", PATH=self.stubs, **PERSON)

    @property
    def stubs(self):
        stub = self.path.with_name("stubs") / "make"
        stub.parent.mkdir(exist_ok=True)
        stub.write_text(f'#!/bin/sh\necho "$*" >>{self.path.with_name("made")}\n')
        stub.chmod(0o755)
        return f"{stub.parent}:{os.environ['PATH']}"

    @property
    def made(self):
        return self.path.with_name("made").read_text().splitlines()

    def changed_outside_app(self):
        """Files of the template that are no longer as they were."""
        lines = self.git("status", "--porcelain", "--no-renames").splitlines()
        return {line[3:] for line in lines if not line[3:].startswith(("app/", "starter/"))}

    def check(self):
        """What `make lint` and `make test` would say of app/, without a container."""
        run("ruff", "check", str(self.path))
        run("ruff", "format", "--check", str(self.path))
        for file in ("compose.yaml", "compose.prod.yaml"):
            assert self.compose(file, "config", "--quiet").stderr == ""

    def compose(self, file, *arguments):
        """Compose, with the settings that the application chooses."""
        command = ("docker", "compose", "--file", file, "--env-file", "app/.env.example")
        return run(*command, *arguments, cwd=str(self.path))

    @property
    def stack(self):
        """The production stack as Compose reads it."""
        return json.loads(self.compose("compose.prod.yaml", "config", "--format", "json").stdout)

    def pytest(self, *arguments, **options):
        return run(
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(self.path), *arguments, **options
        )


@pytest.fixture
def clone(tmp_path):
    clone = Clone(tmp_path / "shop")
    shutil.copytree(CHECKOUT, clone.path, symlinks=True, ignore=NOT_TRACKED)
    clone.git("init", "--quiet")
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--message", "Begin")
    return clone


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


REMOVED = {"tests/unit/test_init.py", "tests/unit/test_readme.py"}


def test_the_demo_stays_under_another_name(clone):
    before = clone.git("ls-files", "app")
    (clone.path / ".env").write_text("DOMAIN=localhost\nMSG=Ahoy\n")
    result = clone.init(name="shop", domain="shop.example", demo="keep")
    assert result.returncode == 0, result.stderr
    assert clone.read(".env") == "DOMAIN=shop.example\nMSG=Ahoy\nPROJECT_NAME=shop\n"
    assert "\nPROJECT_NAME=shop\n" in clone.read("app/.env.example")
    assert "\nDOMAIN=shop.example\n" in clone.read("app/.env.example")
    clone.git("add", "--all")
    assert clone.git("ls-files", "app") == before
    assert clone.changed_outside_app() == {"README.md", *REMOVED}
    assert not (clone.path / "starter").exists()
    clone.check()
    assert clone.stack["name"] == "shop"
    assert clone.stack["services"]["app"]["image"] == "shop-app:latest"


def test_readme_is_the_forks_own(clone):
    clone.init(name="shop", domain="shop.example", demo="keep")
    text = clone.read("README.md")
    assert text.startswith("# shop\n")
    assert "https://shop.example" in text
    assert "@" not in text
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (clone.path / link).exists()
    for task in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert f"\n{task}:" in clone.read("Makefile")


def test_without_the_demo_no_word_of_it_is_left(clone):
    result = clone.init(name="shop", domain="shop.example", demo="drop")
    assert result.returncode == 0, result.stderr
    clone.git("add", "--all")
    found = clone.git("grep", "--ignore-case", "-nP", DEMO, "--", ":!tests/movein", check=False).splitlines()
    assert [line for line in found if not re.search(ENGLISH, line)] == []
    assert clone.changed_outside_app() == {"README.md", *REMOVED}


def test_without_the_demo_a_small_application_is_left_that_passes_its_tests(clone):
    clone.init(name="shop", domain="shop.example", demo="drop")
    clone.check()
    assert "3 passed" in clone.pytest("app/tests", cwd=clone.path).stdout
    assert "jwt" not in json.dumps(clone.stack)


@pytest.mark.long
@pytest.mark.parametrize("answer", [{"demo": "keep"}, {"demo": "drop"}, {"from": "tests/movein/flaskr"}], ids=str)
def test_the_unit_tests_hold_afterwards(clone, answer):
    clone.init(name="shop", domain="shop.example", **answer)
    shutil.rmtree(clone.path / ".git")  # as in the copy that `make test` makes, after its set-up
    shutil.copytree(CHECKOUT / "secrets", clone.path / "secrets")
    folders = [folder for folder in ("tests/unit", "app/tests") if (clone.path / folder).exists()]
    clone.pytest(*folders, "--ignore", str(clone.path / "app/tests/stack"), cwd=clone.path, timeout=900)


def test_it_ends_with_lint_and_says_what_follows(clone):
    result = clone.init(name="shop", domain="shop.example", demo="drop")
    assert clone.made == ["lint"]
    assert "make test" in result.stdout


FACTORY = "import flask\n\n\ndef create_app():\n    return flask.Flask(__name__)\n"


def test_a_package_of_another_name_becomes_app(clone, tmp_path):
    theirs = write(
        tmp_path / "theirs",
        {
            "bookshop/__init__.py": "",
            "bookshop/factory.py": "from flask import Flask\nfrom bookshop.shelf import books\nimport bookshop.shelf\n"
            "import bookshop\nimport bookshop.shelf as other\n\n\ndef create_app():\n    app = Flask(__name__)\n"
            "    assert books == bookshop.shelf.books == other.books\n    app.config.from_object('bookshop.settings')\n"
            "    return app\n",
            "bookshop/shelf.py": "from settings import COLOUR\nimport settings\n\nbooks = [COLOUR, settings.COLOUR]\n",
            "bookshop/static/style.css": "p { color: red }\n",
            "settings.py": "COLOUR = 'red'\n",
            "wsgi.py": "from bookshop.factory import create_app\n\napp = create_app()\n",
            "tests/test_it.py": "from bookshop import factory\n",
            "migrations/env.py": "",
            ".git/config": "",
            ".venv/lib/site.py": "from bookshop import factory\n",
            "requirements.txt": "-r more.txt\nFlask==1.0 \\\n    --hash=sha256:00\nslugs[all]==2.0  # short names\n",
            "more.txt": "SQLAlchemy>=1.3 ; python_version > '3'\n\nwaitress\n",
        },
    )
    result = clone.init(name="shop", domain="shop.example", **{"from": str(theirs)})
    assert result.returncode == 0, result.stderr
    clone.git("add", "--all")
    app = clone.path / "app"
    assert {str(file.relative_to(app)) for file in app.rglob("*") if file.is_file()} == {
        "__init__.py",
        "factory.py",
        "shelf.py",
        "settings.py",
        "static/style.css",
        "migrations/env.py",
        ".env.example",
        "nginx/login-addresses.conf",
        "packages.txt",
        "public/.gitkeep",
        "requirements.in",
        "requirements.txt",
        "ruff.toml",
        "services.yaml",
    }
    factory = clone.read("app/factory.py")
    assert "from app.shelf import books\n" in factory
    assert "import app.shelf\nimport app as bookshop\n" in factory
    assert "import app.shelf as other\n" in factory
    assert clone.read("app/shelf.py").startswith("from app.settings import COLOUR\nfrom app import settings\n")
    assert "app/factory.py:" in result.stdout, "what is no import is shown"
    assert clone.read("app/requirements.in").endswith("\nSQLAlchemy\nwaitress\nFlask\nslugs[all]==2.0\n")
    app = clone.stack["services"]["app"]
    assert app["environment"]["APP_MODULE"] == "app.factory"
    assert "flask db upgrade" in str(clone.stack["services"]["migrate"]["command"])
    clone.check()
    assert clone.made == ["lock", "lint"]
    assert clone.changed_outside_app() == {"README.md", *REMOVED}
    python = "import sys; sys.path.insert(0, '.'); from app.factory import create_app; create_app()"
    said = run(sys.executable, "-c", python, check=False, cwd=str(clone.path)).stderr
    assert "bookshop.settings" in said, "which is where a person has to look"


def test_an_application_called_app_with_its_settings_beside_it_moves_in(clone, tmp_path):
    theirs = write(
        tmp_path / "theirs",
        {
            "app/__init__.py": f"from config import Config\n{FACTORY}",
            "config.py": "import beside\n\nConfig = beside.X\n",
            "beside.py": "X = 1\n",
            "blog.py": "from app import create_app\n\napp = create_app()\n",
        },
    )
    result = clone.init(name="shop", domain="shop.example", **{"from": str(theirs)})
    assert result.returncode == 0, result.stderr
    assert clone.read("app/__init__.py").startswith("from app.config import Config\n")
    assert clone.read("app/config.py").startswith("from app import beside\n")
    assert not (clone.path / "app/blog.py").exists()
    run(sys.executable, "-c", "import app; app.create_app()", cwd=str(clone.path))
    assert clone.stack["services"]["app"]["environment"]["APP_MODULE"] == "app"
    assert "true" in str(clone.stack["services"]["migrate"]["command"])


def test_an_application_of_one_file_moves_in(clone, tmp_path):
    theirs = write(
        tmp_path / "theirs",
        {
            "app.py": "from flask import Flask\nfrom models import X\n\napp = Flask(__name__)\n",
            "models.py": "X = 1\n",
            "templates/index.html": "<p>\n",
            "pyproject.toml": '[project]\nname = "x"\n'
            'dependencies = [\n    "flask>=1",\n    "celery[redis]",\n    "slugs[all]>=2",\n]\n',
        },
    )
    result = clone.init(name="shop", domain="shop.example", **{"from": str(theirs)})
    assert result.returncode == 0, result.stderr
    assert "from app.models import X\n" in clone.read("app/__init__.py")
    assert (clone.path / "app/templates/index.html").exists()
    assert clone.read("app/requirements.in").endswith("\nflask\ncelery[redis]\nslugs[all]>=2\n")
    run(sys.executable, "-c", "from app import app", cwd=str(clone.path))


def test_an_application_comes_from_a_git_address_and_from_src(clone, tmp_path):
    theirs = Clone(write(tmp_path / "theirs", {"src/books/__init__.py": FACTORY, "README.md": "Books\n"}))
    theirs.git("init", "--quiet")
    theirs.git("add", "--all")
    theirs.git("commit", "--quiet", "--message", "Books")
    result = clone.init(name="shop", domain="shop.example", **{"from": f"file://{theirs.path}"})
    assert result.returncode == 0, result.stderr
    assert clone.read("app/__init__.py") == FACTORY
    assert not (clone.path / "app/.git").exists()


def test_one_of_several_packages_is_named(clone, tmp_path):
    theirs = write(tmp_path / "theirs", {"one/__init__.py": FACTORY, "two/__init__.py": FACTORY})
    answers = {"name": "shop", "domain": "shop.example", "from": str(theirs)}
    result = clone.init(**answers)
    assert result.returncode != 0
    assert "one, two" in result.stderr
    assert clone.git("status", "--porcelain") == "", "nothing has changed"
    assert clone.init(**answers, package="two").returncode == 0
    assert clone.read("app/__init__.py") == FACTORY


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({}, "what is it called"),
        ({"name": "My Shop"}, "My Shop"),
        ({"name": "-shop"}, "-shop"),
        ({"name": "shop", "domain": "https://shop.example"}, "https://shop.example"),
        ({"name": "shop", "from": "/nowhere"}, "git clone"),
        ({"name": "shop", "from": "docs"}, "package=NAME"),
    ],
)
def test_an_answer_that_cannot_be_is_refused_before_anything_changes(clone, answers, told):
    result = clone.init(**answers)
    assert result.returncode != 0
    assert told in result.stderr
    assert clone.git("status", "--porcelain") == ""


def test_changes_without_a_commit_are_refused(clone):
    (clone.path / "README.md").write_text("Mine\n")
    result = clone.init(name="shop", domain="shop.example", demo="drop")
    assert result.returncode != 0
    assert "Commit them first" in result.stderr
    assert (clone.path / "app/notes").exists()


def test_on_a_terminal_it_asks_for_what_is_missing(clone):
    ours, theirs = pty.openpty()
    os.write(ours, b"\nshop.example\ndrop\n")
    result = subprocess.run(
        [MAKE, "-C", str(clone.path), "init"],
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **PERSON, "PATH": clone.stubs},
    )
    os.close(ours)
    os.close(theirs)
    assert result.returncode == 0, result.stderr
    assert "[shop]" in result.stdout, "the folder's name"
    assert "PROJECT_NAME=shop\n" in clone.read("app/.env.example")
    assert not (clone.path / "app/notes").exists()


def test_it_is_gone_afterwards_and_an_update_does_not_bring_it_back(clone):
    clone.init(name="shop", domain="shop.example", demo="drop")
    assert "No rule to make target 'init'" in clone.init(name="again").stderr
    owners = run("git", "-C", str(clone.path), "check-attr", "owner", "starter/init.py", *REMOVED).stdout
    assert owners.count("owner: fork") == 3
