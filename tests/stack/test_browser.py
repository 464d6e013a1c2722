"""What a person does, in a real browser, on the production stack. Screenshots are left in artifacts/."""

from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from tests.stack.conftest import DOMAIN

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
SIZES = {"phone": (360, 740), "desktop": (1280, 800)}
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def chromium(prod):
    address = prod.address("nginx", "edge")
    arguments = [
        "--no-sandbox",  # the container is one
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        f"--host-resolver-rules=MAP {DOMAIN}:443 {address}:8443, MAP * ~NOTFOUND",
    ]
    ARTIFACTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        yield browser
        browser.close()


@contextmanager
def visitor(chromium, size, fine=(), **options):
    """A page of a browser that knows nobody. In the end it must have seen no error and no other site."""
    width, height = SIZES[size]
    context = chromium.new_context(
        base_url=f"https://{DOMAIN}",
        ignore_https_errors=True,  # the placeholder; tests/tls has the real ones
        viewport={"width": width, "height": height},
        **options,
    )
    seen, asked = [], set()
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.on("console", lambda message: seen.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda request: asked.add("/".join(request.url.split("/")[:3])))
    yield page
    context.close()
    # What the CSP refuses is an error here, too.
    assert not [text for text in seen if not any(words in text for words in fine)], seen
    assert asked == {f"https://{DOMAIN}"}


def look(page, name, size):
    """Keep a screenshot, and have axe look for what keeps people out."""
    page.screenshot(path=ARTIFACTS / f"{name}-{size}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} scrolls sideways"
    heights = page.evaluate("[...document.querySelectorAll('nav :is(a, button)')].map(link => link.offsetHeight)")
    assert max(heights, default=0) < 50, f"{name}: a word of the navigation is broken, {heights}"
    # By the driver, because the page's own CSP would refuse the script.
    found = Axe().run(page).response["violations"]
    bad = {item["id"]: item["help"] for item in found if item["impact"] in ("serious", "critical")}
    assert not bad, (name, bad)


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
