"""`make bench`: the recipes of tutorials and this stack serve one application, in turn, on one CPU. docs/performance.md

Medians of some rounds, so that what the machine does beside it falls on all. Ratios hold; absolute figures are this
machine's. Usage: python -m bench.run [rounds=3] [seconds=4] [only=RECIPE,...]
"""

import json
import os
import platform
import re
import statistics
import sys
from datetime import date
from pathlib import Path

from tests.conftest import ROOT, copy, set_up
from tests.shell import docker, run
from tests.wait import until

OPTIONS = {"rounds": "3", "seconds": "4", "only": ""} | dict(word.split("=") for word in sys.argv[1:])
NAME = os.environ["TEST_ID"]
IMAGE = f"{NAME}-recipes"
OURS = "flagstone"
GUNICORN = ("gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent")
RECIPES = (OURS, *GUNICORN, "uwsgi", "mod-wsgi", "granian", "caddy")
# name: path, clients, headers, method and bytes of a body, clients that are slow beside it
WORKLOADS = {
    "hello": ("/hello", 32),
    "page with a query": ("/page", 32),
    "the same, for all": ("/public", 32),
    "cached list": ("/list", 32),
    "200 clients x 100 ms in PostgreSQL": ("/wait", 200),
    "static, 1 kB": ("/static/small.css", 32),
    "static, 1 MB": ("/static/large.bin", 16),
    "static, 130 kB compressed": ("/static/page.css", 16, "Accept-Encoding: gzip"),
    "upload, 100 kB": ("/upload", 16, "", "POST", 100_000),
    "handshake each": ("/hello", 16, "Connection: close"),
    "hello beside 200 slow clients": ("/hello", 8, "", "GET", 0, 200),
}
RECIPE = ("compose", "--project-name", f"{NAME}-recipes", "--file", str(ROOT / "bench/compose.yaml"))


def measure(origin, path, clients, header="", method="GET", size=0, slow=0, seconds=OPTIONS["seconds"]):
    """What load.py prints, with requests a second."""
    flags = ["--threads", "1", "--connections", str(clients), "--timeout", "10s"]
    flags += ["--header", "Host: bench.test:8443", *(["--header", header] if header else [])]
    words = [f"{origin}{path}", "--", method, *([str(size)] if size else [])]
    found = json.loads(
        docker(*RECIPE, "exec", "-T", "load", "python3", "load.py", str(slow), str(seconds), *flags, *words)
    )
    return found | {"rate": (found["requests"] - found["failed"]) / found["seconds"]}


def start_load(*beside):
    """The container that asks, and what the recipes need beside it."""
    os.environ["BENCH"] = IMAGE
    docker(*RECIPE, "build", "--quiet", "load", timeout=900)
    docker(*RECIPE, "up", "--detach", "--quiet-pull", "load", *beside)


class Recipe:
    header = ""

    def __init__(self, name):
        self.name, self.origin, self.command, self.services = name, f"https://{name}:8443", RECIPE, [name]

    def start(self):
        docker(*self.command, "up", "--detach", "--quiet-pull", *self.services, timeout=600)

    def memory(self):
        """Idle, in MB."""
        names = docker(*self.command, "ps", "--quiet", *self.services).split()
        lines = docker("stats", "--no-stream", "--format", "{{.MemUsage}}", *names).splitlines()
        used = [re.match(r"([\d.]+)([KMG])iB", line).groups() for line in lines]
        return round(sum(float(number) * {"K": 1 / 1024, "M": 1, "G": 1024}[unit] for number, unit in used))

    def turn(self, on):
        docker(*self.command, "unpause" if on else "pause", *self.services)
        if on:
            self.await_answer()

    def await_answer(self, path="/hello"):
        until(lambda: measure(self.origin, path, 8, self.header, seconds=1)["failed"] == 0, within=90, what=self.name)


class Stack(Recipe):
    """This stack, with its own application, or another one that moves in as anybody's does."""

    def __init__(self, application=None):
        super().__init__(OURS)
        self.folder = copy("bench")
        if application:
            self.move_in(application)
        set_up(self.folder)
        files = ("--file", str(self.folder / "compose.prod.yaml"), "--file", str(self.folder / "bench/stack.yaml"))
        self.command = ("compose", "--project-name", f"{NAME}-stack", *files)
        self.services, self.origin = [], "https://bench.test:8443"

    def move_in(self, application):
        move_in = f"import init, pathlib; init.move_in(pathlib.Path({application!r}), None)"
        run(sys.executable, "-c", move_in, cwd=str(self.folder), PYTHONPATH="starter")
        (self.folder / "app/nginx/public-addresses.conf").write_text("/public 1;\n")

    def start(self):
        limits = {"RATE_LIMIT": "100000r/s", "CONNECTION_LIMIT": "9999", "HTTP_PORT": "0", "HTTPS_PORT": "0"}
        os.environ.update(limits, DOMAIN="bench.test", HTTPS_PUBLIC_PORT="8443", ACME_SERVER="https://127.0.0.1:9/")
        docker(*self.command, "up", "--detach", "--build", "--wait", "--quiet-pull", timeout=600)
        docker("network", "connect", f"{NAME}-stack_edge", f"{NAME}-recipes-load-1")


def table(title, columns, rows):
    yield f"\n{title}\n"
    yield f"| | {' | '.join(columns)} |"
    yield "|---|" + "--:|" * len(columns)
    yield from (f"| {name} | {' | '.join(values)} |" for name, values in rows)


def write(results, memory, bare, rounds):
    """The tables, as docs/performance.md has them."""

    def median(recipe, workload, figure):
        return statistics.median(each[figure] for each in results[recipe, workload])

    recipes = [*dict.fromkeys(recipe for recipe, _ in results)]
    names = [f"**{name}**" if name == OURS else name for name in recipes]
    best = [name for name in recipes if name in GUNICORN]
    cpu = max(each["cpu"] for found in results.values() for each in found)
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    yield f"{date.today()}, {os.cpu_count()} CPUs: {model[1] if model else platform.machine()}."
    yield docker(*RECIPE, "exec", "-T", "load", "sh", "versions.sh").replace("\n", ", ") + "."
    yield f"Medians of {rounds} rounds of {OPTIONS['seconds']} s each, in turn."
    yield f"Bare Flask, one process and nothing around it: {bare} calls of `/hello` a second."
    yield f"The load generator had a CPU of its own, and took {cpu:.0%} of it at most."
    ratio = "÷ best gunicorn"
    for title, figure, better in (("Requests a second:", "rate", max), ("99th percentile, ms:", "p99", min)):
        rows = []
        for workload in WORKLOADS:
            values = [f"{median(recipe, workload, figure):.0f}" for recipe in recipes]
            if OURS in recipes and best:
                of_best = better(median(recipe, workload, figure) for recipe in best)
                values.append(f"{median(OURS, workload, figure) / of_best:.2f}" if of_best else "-")
            rows.append((workload, values))
        yield from table(title, [*names, *([ratio] if OURS in recipes and best else [])], rows)
    failed = {key: sum(each["failed"] for each in found) for key, found in results.items()}
    yield "\nFailed: " + (", ".join(f"{n} x {w} ({r})" for (r, w), n in failed.items() if n) or "none") + "."
    yield "Idle memory, MB: " + ", ".join(f"{name} {number}" for name, number in memory.items()) + "."


def main():
    wanted = OPTIONS["only"].split(",") if OPTIONS["only"] else RECIPES
    static = ROOT / "bench/app/static"
    (static / "large.bin").write_bytes(os.urandom(1_000_000))
    (static / "page.css").write_bytes((static / "small.css").read_bytes() * 150)
    start_load("db", "redis")
    recipes = [Stack(application="bench/app") if name == OURS else Recipe(name) for name in wanted]
    memory, results = {}, {}
    Path("artifacts").mkdir(exist_ok=True)
    for recipe in recipes:
        recipe.start()
        recipe.await_answer()
        memory[recipe.name] = recipe.memory()
        recipe.turn(on=False)
    in_one = ("run", "--rm", "--no-deps", "-T", "gunicorn-sync", "python", "bare.py")
    bare = docker(*RECIPE, *in_one)
    for number in range(int(OPTIONS["rounds"])):
        for recipe in recipes:
            recipe.turn(on=True)
            for workload, options in WORKLOADS.items():
                found = measure(recipe.origin, *options)
                results.setdefault((recipe.name, workload), []).append(found)
                figures = f"{found['rate']:8.0f}/s  p99 {found['p99']:6.0f} ms"
                print(f"{number + 1}  {recipe.name:<17} {workload:<35} {figures}", flush=True)
            recipe.turn(on=False)
        text = "\n".join(write(results, memory, bare, rounds=number + 1))
        Path("artifacts/bench.md").write_text(f"{text}\n")
    print(text)


if __name__ == "__main__":
    main()
