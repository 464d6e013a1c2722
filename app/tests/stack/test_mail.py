"""What leaves by mail: word of a report, and a link for a lost password."""

import re
from email import message_from_string
from email.policy import default

from app.tests.stack.conftest import sign_up
from tests.stack.test_mail import serve
from tests.wait import until


def test_the_owner_of_a_report_is_told_where_it_is(prod, worker, pair):
    with serve(pair) as mailbox, worker():
        answer = prod.site.request("POST", "/api/reports")
        until(lambda: mailbox.messages, what="a mail")
    assert "To: tests@example.test" in mailbox.texts()[0]
    assert answer.headers["Location"].replace("/api/reports/" + answer.json["id"], "/reports") in mailbox.texts()[0]


def test_a_lost_password_is_replaced_by_a_link_in_a_mail(prod, worker, pair):
    sign_up(prod.stranger, "forgetful@example.test")
    code = "from app import create_app; from app.auth.links import request_link\n"
    code += "with create_app().test_request_context(base_url='https://example.test'):\n"
    code += "    request_link('forgetful@example.test', 'forgot')"
    with serve(pair) as mailbox, worker():
        prod.exec("app", "python", "-c", code)
        until(lambda: mailbox.messages, what="a mail")
    text = message_from_string(mailbox.texts()[0], policy=default).get_content()
    new = {"password": "another one than that"}
    page = re.search(r"/reset\?token=\S+", text)[0]
    assert [prod.stranger.post_form(page, **new).status for _ in range(2)] == [303, 410]
    assert prod.stranger.post_form("/login", email="forgetful@example.test", **new).status == 303
