"""Where a request may send a browser to: places on this site, and no other."""

import re

# Not parsed: browsers read addresses in another way than Python does (https://url.spec.whatwg.org). They take
# backslashes for slashes, drop tabs and line breaks, and go to another host by whatever begins with two slashes.
LOCAL = re.compile(r"/(?:[^/\\][^\\]*)?")
LONGEST = 1000  # bytes, which can become three times as many; proxies bound the headers of an answer


def local_target(text: str) -> str | None:
    """The text, where it is a path on this site with nothing odd about it; perhaps with a query."""
    return text if LOCAL.fullmatch(text) and text.isprintable() and len(text.encode()) <= LONGEST else None
