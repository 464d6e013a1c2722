import csv
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from app.auth.model import User
from app.reports import tasks
from app.reports.model import Report
from app.schedule import SCHEDULE
from app.tests.conftest import sign_up
from flagstone.broker import LISTS, MESSAGES_MAX
from flagstone.extensions import db
from flagstone.log_context import request_id

NOBODYS = "6052c9cd-f958-4929-96d1-5434c8aa8151"


@pytest.fixture
def app(make_app):
    return make_app(REPORT_STEP_SECONDS="0")


@pytest.fixture
def client(user):
    """Signed in, as whoever orders has to be."""
    return user


def order(client):
    answer = client.post("/api/reports")
    assert answer.status_code == 202
    return answer


def test_a_report_is_ordered_asked_for_and_downloaded(client):
    for number in range(25):
        client.post("/api/notes", json={"title": f"note {number}", "body": 'a "quoted", text'})
    ordered = order(client)
    assert ordered.headers["Location"] == ordered.json["status"]
    status = client.get(ordered.json["status"]).json
    assert (status["state"], status["progress"]) == ("done", 100)
    file = client.get(status["download"])
    assert file.mimetype == "text/csv"
    assert file.headers["Content-Disposition"].startswith("attachment; filename=")
    rows = list(csv.DictReader(file.text.splitlines()))
    assert [row["title"] for row in rows] == [f"note {number}" for number in range(25)]
    assert rows[0]["body"] == 'a "quoted", text'


def test_its_progress_can_be_seen_while_it_is_made(app, client, monkeypatch):
    seen = []

    def look(_):
        with app.app_context():
            seen.append(db.session.scalars(db.select(Report)).one().progress)

    monkeypatch.setattr(tasks, "time", SimpleNamespace(sleep=look))
    order(client)
    assert seen == list(range(0, 100, 10))


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_a_spreadsheet_runs_nothing_that_is_in_a_report(client, start):
    client.post("/api/notes", json={"title": f"{start}1+1"})
    status = client.get(order(client).json["status"]).json
    assert f",'{start}1+1," in client.get(status["download"]).text


def test_one_that_is_not_done_cannot_be_downloaded(app, client):
    with app.app_context():
        db.session.add(report := Report(user_id=1))
        db.session.commit()
        path = f"/api/reports/{report.id}"
    assert client.get(path).json == {"id": path.split("/")[-1], "state": "queued", "progress": 0, "download": None}
    assert client.get(f"{path}/download").status_code == 409


@pytest.mark.parametrize("path", [NOBODYS, "1", "x" * 36, f"{NOBODYS}/download"])
def test_one_that_does_not_exist_is_a_404(client, path):
    answer = client.get(f"/api/reports/{path}")
    assert (answer.status_code, answer.json["error"]["status"]) == (404, 404)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 202),
        (b'{"color": 1}', "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 1000, "application/json", 400),
        (b"x=1", "text/plain", 415),
        (b"{}" + b" " * 200_000, "application/json", 413),
    ],
)
def test_an_order_takes_no_fields(client, app, body, content_type, status):
    assert client.post("/api/reports", data=body, content_type=content_type).status_code == status
    with app.app_context():
        assert len(db.session.scalars(db.select(Report)).all()) == (status == 202)


@pytest.mark.parametrize("error", [ValueError("broken"), SoftTimeLimitExceeded()])
def test_one_that_cannot_be_made_says_so(client, monkeypatch, error):
    def fail(_):
        raise error

    monkeypatch.setattr(tasks, "write_csv", fail)
    status = client.get(order(client).json["status"]).json
    assert (status["state"], status["download"]) == ("failed", None)


def test_a_job_that_is_delivered_twice_is_done_once(app, client, monkeypatch):
    path = order(client).json["status"]
    report_id = path.rpartition("/")[2]
    monkeypatch.setattr(tasks, "write_csv", None)
    with app.app_context():
        tasks.write_report.delay(report_id, "")
        tasks.write_report.delay(NOBODYS, "")  # and one whose report is gone
    assert client.get(path).json["state"] == "done"


def test_a_report_is_deleted_when_it_expires(make_app):
    app = make_app(REPORT_EXPIRES="3600")
    with app.app_context():
        now = datetime.now(UTC)
        db.session.add_all(
            Report(user_id=1, progress=age, created_at=now - timedelta(minutes=age)) for age in (1, 59, 61, 99)
        )
        db.session.commit()
        tasks.delete_expired.delay()
        assert {report.progress for report in db.session.scalars(db.select(Report))} == {1, 59}


def test_the_page_works_without_a_script(client):
    assert "No reports yet" in client.get("/reports").text
    assert client.post("/reports").headers["Location"] == "/reports"
    page = client.get("/reports").text
    assert '<progress max="100" value="100">' in page
    assert "/download" in page
    assert "Refresh" not in page, "it is done"


def test_a_script_of_another_site_cannot_order(client):
    assert client.post("/api/reports", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_when_the_queue_is_away_it_is_a_503_and_nothing_is_left(make_app):
    app = make_app(REDIS_URL="redis://127.0.0.1:1", REDIS_PASSWORD="hunter2")
    answer = sign_up(app.test_client()).post("/api/reports")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "hunter2" not in answer.text
    with app.app_context():
        assert not db.session.scalars(db.select(Report)).all()


def test_what_the_clock_queues_is_a_task_that_the_worker_knows(app):
    for name, entry in SCHEDULE.items():
        assert entry["task"] in app.extensions["celery"].tasks, name


def test_the_request_id_is_that_of_the_request_that_queued_the_task(client, monkeypatch):
    seen = []
    monkeypatch.setattr(tasks, "write_csv", lambda _: seen.append(request_id()) or "")
    assert order(client).headers["X-Request-ID"] == seen[0]


def test_a_report_is_its_owners_only(app, client):
    path = order(client).json["status"]
    other = sign_up(app.test_client(), email="other@example.test")
    for url in (path, f"{path}/download"):
        assert client.get(url).status_code == 200
        assert other.get(url).status_code == 404
        assert app.test_client().get(url).status_code == 401
    assert "/download" in client.get("/reports").text
    assert "/download" not in other.get("/reports").text


def test_a_user_has_a_few_reports_under_way_and_the_next_one_is_refused(app, client):
    other = sign_up(app.test_client(), email="other@example.test")
    with app.app_context():
        db.session.add_all(Report(user_id=1, state=state) for state in ("queued", "running", "queued", "queued"))
        db.session.add_all(Report(user_id=1, state=state) for state in ("done", "failed"))
        db.session.commit()
        order(client)  # is done at once, here
        db.session.add(Report(user_id=1))
        db.session.commit()
    refused = client.post("/api/reports")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
    assert "5 of your reports are not done" in refused.json["error"]["message"]
    page = client.post("/reports")
    assert (page.status_code, page.headers["Retry-After"]) == (429, "5")
    assert "5 of your reports are not done" in page.text
    order(other)
    with app.app_context():
        assert len(db.session.scalars(db.select(Report).filter_by(user_id=1)).all()) == 8
        db.session.scalars(db.select(Report).filter_by(state="running")).one().finish("done")
        db.session.commit()
    order(client)


def test_a_user_keeps_the_latest_hundred_reports(app, client):
    other = sign_up(app.test_client(), email="other@example.test")
    order(other)
    with app.app_context():
        oldest = datetime(2020, 1, 1, tzinfo=UTC)
        old = [Report(user_id=1, state="done", created_at=oldest + timedelta(days=day)) for day in range(110)]
        db.session.add_all([*old, Report(user_id=1, created_at=oldest)])
        db.session.commit()
        kept = {report.id for report in old[11:]}
    newest = UUID(order(client).json["id"])
    with app.app_context():
        found = db.session.scalars(db.select(Report.id).filter_by(user_id=1, state="done")).all()
        assert set(found) == kept | {newest}
        assert db.session.scalar(db.select(db.func.count()).select_from(Report)) == 100 + 2


def test_a_stranger_orders_nothing(app):
    stranger = app.test_client()
    assert stranger.post("/api/reports").status_code == 401
    assert stranger.get("/reports").headers["Location"].startswith("/login")
    assert stranger.post("/reports").headers["Location"].startswith("/login")
    with app.app_context():
        assert not db.session.scalars(db.select(Report)).all()


def test_the_owner_gets_a_mail_with_the_address_of_the_page(client, monkeypatch):
    sent = []
    monkeypatch.setattr(tasks, "send_mail", lambda *mail: sent.append(mail))
    order(client)
    ((to, subject, text),) = sent
    assert to == "user@example.test"
    assert "done" in subject
    assert "http://localhost/reports" in text


def test_an_owner_whom_no_mail_reaches_still_gets_the_report(app):
    odd = sign_up(app.test_client())
    with app.app_context():  # an account of before addresses were checked
        db.session.execute(db.update(User).values(email="a,b@example.test"))
        db.session.commit()
    assert odd.get(order(odd).json["status"]).json["state"] == "done"


def test_a_report_that_is_one_too_many_for_the_queue_is_a_503_and_leaves_no_row(app, user, published):
    published.lists[LISTS[-1]] = MESSAGES_MAX
    answer = user.post("/api/reports")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "cannot be queued" in answer.json["error"]["message"]
    assert "cannot be queued" in user.post("/reports").text
    published.lists[LISTS[-1]] -= 1
    assert user.post("/api/reports").status_code == 202
    with app.app_context():
        assert len(db.session.scalars(db.select(Report)).all()) == 1
