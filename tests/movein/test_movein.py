"""Applications that nobody here wrote move in, each by the recipe beside it, and run in development and in production.

tests/movein/NAME is the application as its authors have it, tests/movein/NAME.sh is what a person types.
"""

import json
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.movein.visitor import Visitor
from tests.shell import run
from tests.stack.conftest import Stack, production
from tests.stack.site import Site
from tests.wait import until

pytestmark = pytest.mark.long

LINES_MAX = 10
NOT_A_CHECKOUT = (".git", ".env", "secrets", "artifacts", "copies", "__pycache__")


def move_in(name):
    """A fresh checkout of this template, in which the recipe has run; beside the tests, where Docker finds it, too."""
    checkout = Path(f"movein-{name}").resolve()
    shutil.copytree(ROOT, checkout, symlinks=True, ignore=shutil.ignore_patterns(*NOT_A_CHECKOUT))
    git(checkout, "init", "--quiet")
    git(checkout, "add", "--all")
    git(checkout, "-c", "user.name=t", "-c", "user.email=t@example.test", "commit", "--quiet", "--message", "template")
    run(str(checkout / "tests/movein" / f"{name}.sh"), timeout=600)
    run(str(checkout / "scripts/setup.sh"), "development", timeout=600)
    git(checkout, "add", "--all")
    return checkout


def git(checkout, *command):
    return run("git", "-C", str(checkout), *command).stdout


def lines_changed(checkout, path):
    """Added and removed, by file."""
    stat = [line.split("\t") for line in git(checkout, "diff", "--numstat", "HEAD", "--", *path).splitlines()]
    return {file: int(added.replace("-", "1")) + int(removed.replace("-", "1")) for added, removed, file in stat}


class Blog:
    """An `app` package with SQLAlchemy, Flask-Login, Flask-WTF, RQ."""

    table = "post"
    write = 'url_rule="/"'

    def __init__(self, stack):
        self.stack, self.visitor = stack, Visitor(stack.site)

    def rows(self, table):
        return in_postgresql(self.stack, table)

    def sign_up_and_log_in(self):
        ann = {"username": "ann", "password": "correct horse"}
        form = {**ann, "email": "ann@example.com", "password2": ann["password"]}
        assert self.visitor.submit("/auth/register", **form).headers["Location"] == "/auth/login"
        answer = self.visitor.submit("/auth/login", **ann, remember_me="y")
        assert answer.headers["Location"] == "/index", answer.text
        return answer

    def write_something(self):
        answer = self.visitor.submit("/", post="Hello from the blog")
        assert answer.status == 302, answer.text
        page = self.visitor.get("/").text
        assert "Hello from the blog" in page
        assert "Your post is now live!" in page
        return answer, "A new post by ann"

    def look_at_its_own_ways(self):
        assert Visitor(self.stack.site).get("/").headers["Location"] == "/auth/login?next=%2F"
        without_token = self.visitor.request("POST", "/", body="post=forged", headers=FORM)
        assert without_token.status == 400
        assert "Nothing was posted here" in self.visitor.get("/nowhere").text
        failed = self.visitor.get("/fail")
        assert (failed.status, "The blog has stumbled" in failed.text) == (500, True)
        self.export()

    def export(self):
        """By RQ's worker."""
        status = self.visitor.submit("/", to="/export_posts").headers["Location"]
        done = until(lambda: (seen := self.visitor.get(status).json)["result"] and seen)
        assert [post["body"] for post in json.loads(done["result"])["posts"]] == ["Hello from the blog"]

    def look_at_cookies_of_https(self, of_login):
        cookies = dict(line.split("=", 1) for line in of_login.headers.get_all("Set-Cookie"))
        assert cookies.keys() == {"remember_token", "__Host-session"}
        for attributes in cookies.values():
            assert {"Secure", "HttpOnly"} <= set(attributes.split("; "))


class Flaskr:
    """No ORM: sqlite3, sessions of Flask."""

    table = "post"
    write = 'url_rule="/create"'

    def __init__(self, stack):
        self.stack, self.visitor = stack, Visitor(stack.site)

    def rows(self, table):
        database = "sqlite3.connect('instance/flaskr.sqlite')"
        ask = f"import sqlite3; print(*{database}.execute('SELECT count(*) FROM {table}'))"  # noqa: S608
        return int(self.stack.exec("app", "python", "-c", ask).strip("(,)"))

    def sign_up_and_log_in(self):
        ann = {"username": "ann", "password": "correct horse"}
        assert self.visitor.submit("/auth/register", **ann).headers["Location"] == "/auth/login"
        answer = self.visitor.submit("/auth/login", **ann)
        assert answer.headers["Location"] == "/", answer.text
        return answer

    def write_something(self):
        assert self.visitor.submit("/create", title="Hello", body="from flaskr").status == 302
        assert "<h1>Hello</h1>" in self.visitor.get("/").text
        broken = self.visitor.get(f"/{2**64}/update")  # its SQLite has no such number
        assert broken.status == 500
        return broken, f"Exception on /{2**64}/update [GET]"

    def look_at_its_own_ways(self):
        assert self.visitor.get("/hello").text == "Hello, World!"
        gone = self.visitor.get("/9/update")  # it has no page of its own for this
        assert (gone.status, gone.headers["X-Request-ID"] in gone.text) == (404, True)
        forged = {**FORM, "Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}
        assert self.visitor.request("POST", "/1/delete", body="", headers=forged).status == 403
        self.stack.compose("up", "--detach", "--wait", "--force-recreate", "migrate", "app")
        self.stack.await_health("ok")
        assert "<h1>Hello</h1>" in self.visitor.get("/").text, "kept, and still signed in"

    def look_at_cookies_of_https(self, of_login):
        (cookie,) = of_login.headers.get_all("Set-Cookie")
        assert cookie.startswith("__Host-session=")
        assert {"Secure", "HttpOnly"} <= set(cookie.split("; "))


class Conduit:
    """A JSON API with SQLAlchemy, tokens, webargs, for pages of another origin."""

    table = "article"
    write = 'url_rule="/api/articles"'

    def __init__(self, stack):
        self.stack, self.headers = stack, {}

    def rows(self, table):
        return in_postgresql(self.stack, table)

    def post(self, path, value, **headers):
        return self.stack.site.post_json(path, value, headers={**self.headers, **headers})

    def sign_up_and_log_in(self):
        ann = {"email": "ann@example.com", "password": "correct horse"}
        assert self.post("/api/users", {"user": {**ann, "username": "ann"}}).status == 201
        answer = self.post("/api/users/login", {"user": ann})
        self.headers = {"Authorization": f"Token {answer.json['user']['token']}"}
        assert self.stack.site.get("/api/user", headers=self.headers).json["user"]["username"] == "ann"
        return answer

    def write_something(self):
        answer = self.post("/api/articles", {"article": {"title": "Hello there", "body": "from conduit"}})
        assert answer.status == 201, answer.text
        assert self.stack.site.get("/api/articles/hello-there").json["article"]["author"] == {"username": "ann"}
        return answer, "A new article, hello-there"

    def look_at_its_own_ways(self):
        assert self.stack.site.get("/api/articles/nothing").json == {"errors": {"body": ["Not found."]}}
        invalid = self.post("/api/articles", {"article": {"title": "x" * 101}})
        assert (invalid.status, set(invalid.json["errors"])) == (422, {"title", "body"})
        origin = {"Origin": "https://conduit.test", "Sec-Fetch-Site": "cross-site"}
        answer = self.post("/api/articles", {"article": {"title": "From elsewhere", "body": "x"}}, **origin)
        assert (answer.status, answer.headers.get_all("Access-Control-Allow-Origin")) == (201, [origin["Origin"]])
        stranger = self.post("/api/articles", {"article": {"title": "Forged", "body": "x"}}, Origin="https://evil.test")
        assert "Access-Control-Allow-Origin" not in stranger.headers

    def look_at_cookies_of_https(self, of_login):
        assert "Set-Cookie" not in of_login.headers


def in_postgresql(stack, table):
    """The number of rows."""
    psql = ("psql", "--username", "app", "--tuples-only", "--no-align", "--command")
    return int(stack.exec("db", *psql, f"SELECT count(*) FROM {table}"))  # noqa: S608


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
APPLICATIONS = {"blog": Blog, "flaskr": Flaskr, "conduit": Conduit}


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in APPLICATIONS]
)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def checkout(name):
    checkout = move_in(name)
    yield checkout
    shutil.rmtree(checkout)


@contextmanager
def up(stack):
    """Without a user of its own."""
    try:
        stack.up()
        yield stack
    except BaseException:
        print(stack.compose("logs", "--tail", "40", check=False))
        raise
    finally:
        stack.down("--volumes")


def test_at_most_ten_lines_outside_its_folder_change(checkout):
    outside = lines_changed(checkout, (".", ":!app"))
    assert sum(outside.values()) <= LINES_MAX, outside
    assert lines_changed(checkout, ("app",)), "and inside it something did"


def test_the_template_has_no_more_to_say_against_it(checkout):
    """Its lock agrees with that of the tests, in whose container the contract of an application holds for it."""
    linted = run("ruff", "check", str(checkout), check=False)
    assert linted.returncode == 0, linted.stdout
    project = ("compose", "--project-name", f"{os.environ['TEST_ID']}-{checkout.name}", "--profile", "test")
    compose = ("docker", *project, "--file", str(checkout / "compose.yaml"))
    run(*compose, "build", "--quiet", "tests", timeout=900)
    contract = ("pytest", "--noconftest", "tests/unit/test_your_app.py")
    environment = {"TEST_COPY": str(checkout), "TEST_USER": f"{os.getuid()}:{os.getgid()}"}
    run(*compose, "run", "--rm", "--no-TTY", "tests", *contract, timeout=300, **environment)


def test_it_runs_in_development(name, checkout):
    stack = Stack(f"{name}-dev", (str(checkout / "compose.yaml"),), {"DEV_PORT": "0"})
    stack.site = stack.http = Site(f"{stack.project}-nginx-1", 8080, "localhost")
    with up(stack):
        look_at(name, stack)


def test_it_runs_in_production(name, checkout):
    stack = production(f"{name}-prod", ACME_SERVER="http://127.0.0.1:9/directory")
    stack.files = (str(checkout / "compose.prod.yaml"),)
    with up(stack):
        of_login = look_at(name, stack)
        APPLICATIONS[name](stack).look_at_cookies_of_https(of_login)


def look_at(name, stack):
    """All that an application is promised, and all that it did before. Returns the answer to a login."""
    application = APPLICATIONS[name](stack)
    look_at_static_files(stack)
    before = counted(stack, application.write)
    of_login = application.sign_up_and_log_in()
    answer, logged = application.write_something()
    look_at_the_log(stack, answer.headers["X-Request-ID"], logged)
    assert counted(stack, application.write) > before
    assert application.rows(application.table) > 0, "its migrations made the table"
    application.look_at_its_own_ways()
    return of_login


def look_at_static_files(stack):
    """By nginx, which derives its ETag from time and size; in production by fingerprint."""
    named = re.findall(r'href="(/static/[^"]+)"', Visitor(stack.site).get("/auth/login").text)
    for path in named:
        answer = stack.site.get(path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/css")
        assert re.fullmatch(r'"[0-9a-f]+-[0-9a-f]+"', answer.headers["ETag"])
        assert ("immutable" in answer.headers["Cache-Control"]) == stack.site.tls
    assert "There is nothing at this address" in stack.site.get("/static/none.css").text, "nginx says so"


def look_at_the_log(stack, request_id, message):
    """What the application said is a line of the request that nginx logged."""

    def line():
        lines = [line for line in stack.logs("app").splitlines() if request_id in line]
        return [line for line in lines if message in line]

    (said,) = until(line, what=f"{message!r} of {request_id}")
    if stack.site.tls:
        assert json.loads(said)["request_id"] == request_id
    until(lambda: request_id in stack.logs("nginx"))


def counted(stack, label):
    """Requests of this rule that /metrics has, where Prometheus asks for it."""
    ask = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8000/metrics').read().decode())"
    series = stack.exec("app", "python", "-c", ask).splitlines()
    found = [line for line in series if line.startswith("flask_http_request_duration_seconds_count") and label in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)
