"""What a person does, in a real browser, on the production stack. Screenshots are left in artifacts/."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.tests.stack.conftest import USER
from tests.stack.browser import SIZES, browser, look, visitor
from tests.stack.conftest import DOMAIN

PASSWORD = USER["password"]


@pytest.fixture(scope="module")
def chromium(prod):
    with browser(prod) as chromium:
        yield chromium


@pytest.mark.parametrize("size", SIZES)
def test_sign_up_write_upload_report_and_leave(prod, chromium, size):
    with visitor(chromium, size) as page:
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        look(page, "status", size)

        page.goto("/notes")
        page.get_by_role("link", name="Sign in").last.click()
        look(page, "sign-in", size)
        page.get_by_role("link", name="Sign up").click()
        page.get_by_label("Address").fill(f"{size}@example.test")
        page.get_by_label("Password").fill(PASSWORD)
        look(page, "sign-up", size)
        page.get_by_role("button", name="Sign up").click()
        expect(page).to_have_url(f"https://{DOMAIN}/notes")

        page.get_by_label("Title").fill(f"Written on a {size}")
        page.get_by_role("textbox", name="Text").fill("<b>not bold</b>\nand a second line")
        page.get_by_label("File").set_input_files(
            {"name": "page.html", "mimeType": "text/html", "buffer": b"<script>alert(1)</script>"}
        )
        page.get_by_role("button", name="Save note").click()
        note = page.get_by_role("article").filter(has=page.get_by_role("heading", name=f"Written on a {size}"))
        expect(note).to_contain_text("<b>not bold</b>")
        look(page, "notes", size)
        with page.expect_download() as download:
            note.get_by_role("link", name="page.html.txt").click()
        assert Path(download.value.path()).read_bytes() == b"<script>alert(1)</script>"

        page.get_by_role("link", name="Reports").click()
        page.get_by_role("button", name="Make a report").click()
        report = page.get_by_role("article").first
        expect(report.get_by_role("progressbar")).to_be_visible()
        expect(report.get_by_role("status")).to_have_text("done", timeout=60_000)
        expect(report.get_by_role("progressbar")).to_have_attribute("value", "100")
        look(page, "reports", size)
        with page.expect_download() as download:
            report.get_by_role("link", name="Download").click()
        assert f"Written on a {size}" in Path(download.value.path()).read_text()

        page.get_by_role("link", name="Notes").click()
        note.get_by_role("button", name="Delete").click()
        expect(note).to_have_count(0)

        page.get_by_role("link", name="Account").click()
        page.get_by_label("Current password").fill(PASSWORD)
        page.get_by_label("New password").fill("another one than that")
        page.get_by_role("button", name="Change password").click()
        expect(page.get_by_text("The password is changed")).to_be_visible()
        look(page, "account", size)
        page.get_by_role("button", name="Sign out", exact=True).click()
        expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def test_a_note_is_written_by_keyboard_alone(prod, chromium):
    with visitor(chromium, "desktop") as page:
        page.goto("/register?next=/notes")

        def tab_to(role, name):
            for _ in range(25):
                page.keyboard.press("Tab")
                if page.get_by_role(role, name=name).evaluate("element => element === document.activeElement"):
                    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", name
                    return
            raise AssertionError(f"the Tab key does not lead to {name}")

        tab_to("link", "Skip to content")
        tab_to("textbox", "Address")
        page.keyboard.type("keys@example.test")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"https://{DOMAIN}/notes")
        tab_to("textbox", "Title")
        page.keyboard.type("By keyboard")
        tab_to("button", "Save note")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="By keyboard")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_wrong_with_a_form_can_be_read(prod, chromium, scheme):
    with visitor(chromium, "phone", fine=("status of 400",), color_scheme=scheme) as page:
        page.goto("/register")
        page.get_by_label("Address").fill("somebody@example.test")
        page.get_by_label("Password").fill("short")
        page.evaluate("document.querySelector('main form').noValidate = true")
        page.get_by_role("button", name="Sign up").click()
        expect(page.get_by_text("expected at least 12 characters")).to_be_visible()
        expect(page.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
        look(page, f"refused-{scheme}", "phone")
