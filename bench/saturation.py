"""`make load`: where this site bends, on this machine: how long visitors wait, against how many come.

The application is the one of this checkout, in the production stack, its limits for one client lifted, on one CPU; the
load has another one. Usage: python -m bench.saturation [path=/] [seconds=4]
"""

import json

from bench.run import OPTIONS, RECIPE, Stack, measure, start_load, table
from tests.shell import docker

PATH, SECONDS = OPTIONS.get("path", "/"), OPTIONS["seconds"]
FIGURES = ("served", "refused", "failed", "p50", "p99")
SHARES = (0.25, 0.5, 0.75, 0.9, 1, 1.25, 1.5, 2)


def arrivals(origin, rate):
    address = (f"{origin}{PATH}", origin.removeprefix("https://"))
    return json.loads(docker(*RECIPE, "exec", "-T", "load", "python3", "arrivals.py", *address, str(rate), SECONDS))


def main():
    start_load()
    site = Stack()
    site.start()
    site.await_answer(PATH)
    most = measure(site.origin, PATH, 64, seconds=SECONDS)["rate"]
    print(f"{PATH}: {most:.0f} requests a second at most, by 64 clients that ask again and again.", flush=True)
    rows = []
    for share in SHARES:
        found = arrivals(site.origin, most * share)
        rows.append((f"{most * share:.0f}", [f"{found[name]:.0f}" for name in FIGURES]))
    print("\n".join(table("Visitors a second, what came of them, and how long they waited (ms):", FIGURES, rows)))


if __name__ == "__main__":
    main()
