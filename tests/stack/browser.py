"""A real browser on a stack's site: what it complains of, and what keeps people out, fails the test."""

from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from tests.conftest import ROOT
from tests.stack.conftest import DOMAIN, networks

ARTIFACTS = ROOT / "artifacts"  # where tests/run.sh finds them
PATIENCE = 30_000  # ms. A busy machine is no fault of the page
SIZES = {"phone": (360, 740), "desktop": (1280, 800)}


@contextmanager
def browser(stack):
    """Chromium, for which the name of the site leads to the stack, and any other one nowhere."""
    arguments = [
        "--no-sandbox",  # the container is one
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        f"--host-resolver-rules=MAP {DOMAIN}:443 {stack.address('nginx', 'edge')}:8443, MAP * ~NOTFOUND",
    ]
    ARTIFACTS.mkdir(exist_ok=True)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell", args=arguments, timeout=120_000
        )
        yield chromium
        chromium.close()


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
    with networks():
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
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
