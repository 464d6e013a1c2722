"""What a browser does that a plain client does not: it keeps cookies, and sends a form with all that it has."""

import re
from dataclasses import dataclass, field
from html import unescape
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from tests.stack.site import Site


@dataclass
class Visitor:
    site: Site
    cookies: SimpleCookie = field(default_factory=SimpleCookie)

    def get(self, path):
        return self.request("GET", path)

    def submit(self, path, to=None, **fields):
        """Fill in a form of the page at `path`, which sends it `to` that address, and returns the answer."""
        inputs = re.findall(r'<input[^>]*type="hidden"[^>]*>', self.get(path).text)
        hidden = {re.search('name="(.*?)"', tag)[1]: unescape(re.search('value="(.*?)"', tag)[1]) for tag in inputs}
        body = urlencode(hidden | fields)
        origin = f"{'https' if self.site.tls else 'http'}://{self.site.host}"
        headers = {"Origin": origin, "Referer": f"{origin}{path}", "Sec-Fetch-Site": "same-origin"}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self.request("POST", to or path, body=body, headers=headers)

    def request(self, method, path, headers=None, **options):
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())
        answer = self.site.request(method, path, headers={"Cookie": cookies, **(headers or {})}, **options)
        for line in answer.headers.get_all("Set-Cookie") or []:
            self.cookies.load(line)
        return answer
