"""The contract of docs/your-app.md, for whatever app/ holds: what would fail in the stack fails here."""

import importlib
import re
import sys
from pathlib import Path

import pytest
from flask import got_request_exception
from werkzeug.exceptions import InternalServerError, NotFound, ServiceUnavailable, TooManyRequests

from tests.unit.test_static_files import static

APP = Path(__file__).parents[2] / "app"
# What a page may lack here, where no service runs and nothing was migrated. `make up` asks for the page itself.
NO_SERVICE = {"OperationalError", "ProgrammingError", "ConnectionError"}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """As gunicorn, `flask` and the worker load it."""
    module = re.search(r"^\s+APP_MODULE: (\S+)", (APP / "services.yaml").read_text(), re.MULTILINE)
    with pytest.MonkeyPatch.context() as environment:
        environment.chdir(APP.parent)
        environment.setenv("APP_MODULE", module[1] if module else "app")
        environment.setenv("APP_ENV", "Test")
        environment.setenv("UPLOAD_FOLDER", str(tmp_path_factory.mktemp("uploads")))
        environment.delitem(sys.modules, "flagstone.wsgi", raising=False)
        yield importlib.import_module("flagstone.wsgi").app


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.mark.parametrize(
    "file",
    [
        ".env.example",
        "nginx/login-addresses.conf",
        "packages.txt",
        "requirements.in",
        "requirements.txt",
        "services.yaml",
    ],
)
def test_it_has_the_files_that_images_and_services_are_made_of(file):
    assert (APP / file).is_file()
    assert (APP / "public").is_dir()
    assert (APP / "static").is_dir()


def test_what_docker_asks_for_is_answered(client):
    assert client.get("/health/live").status_code == 200
    assert client.get("/health").status_code in (200, 503), "its database may be elsewhere"


def test_prometheus_gets_what_it_asks_for(app, client):
    """Unless the application does without, or has metrics of its own."""
    if "metrics" not in app.config["WITHOUT"]:
        client.get("/health/live")
        assert client.get("/metrics").mimetype == "text/plain"


def test_the_front_page_is_shown(app, client):
    """Or leads elsewhere, or says that there is none."""
    raised = []
    with got_request_exception.connected_to(lambda _, exception: raised.append(exception), app):
        status = client.get("/").status_code
    names = {kind.__name__ for error in raised for kind in type(error).mro()}
    if names & NO_SERVICE:
        pytest.skip(f"without its database it cannot be: {raised[0]}".partition("\n")[0])
    assert status < 500


def test_an_address_that_leads_nowhere_has_an_answer_with_the_id_of_the_request(client):
    answer = client.get("/there-is-no-such-page-here")
    assert answer.status_code < 500
    assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize("error", [NotFound, TooManyRequests, InternalServerError, ServiceUnavailable])
def test_its_error_pages_can_be_shown(app, caplog, error):
    """And do not fail again: at what they extend, at the addresses that they build."""
    with app.test_request_context("/"):
        answer = app.make_response(app.handle_user_exception(error("as a test wants it")))
    assert answer.status_code == error.code
    assert answer.get_data()
    assert "error page cannot be shown" not in caplog.text


def test_static_files_are_where_nginx_serves_them(app):
    """The application's own folder by its own address; those of its blueprints come from the application."""
    assert app.static_url_path == "/static"
    assert Path(app.static_folder) == APP / "static"


def test_no_route_lies_where_nginx_asks_nobody(app):
    """nginx/site/denied.conf and application.conf: these addresses never reach the application."""
    never = re.compile(r"/uploads/|/static/.|/\.(?!well-known/)|.*(~|\.(bak|orig|save|sql|sw[op]))$")
    rules = [rule.rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
    assert [rule for rule in rules if never.match(rule)] == []


def test_static_names_in_its_templates_are_files():
    """Or the images cannot be built."""
    static.check_templates(APP, APP / "static")


@pytest.mark.parametrize(("file", "method"), [("login-addresses.conf", "POST"), ("public-addresses.conf", "GET")])
def test_the_addresses_that_nginx_is_told_of_are_there(app, file, method):
    """Or LOGIN_RATE_LIMIT would be about something else, and pages would be looked for that nobody makes."""
    path = APP / "nginx" / file
    lines = path.read_text().splitlines() if path.exists() else []  # it needs no pages that are kept
    addresses = [line.split("#")[0].split() for line in lines if line.split("#")[0].strip()]
    for address, *rest in addresses:
        assert rest == ["1;"]
        if re.match("/", address):  # a regular expression otherwise
            app.url_map.bind("localhost").match(address, method=method)
