"""`make bench-parts`: what the parts of this stack cost: the same with one of them off, in turn, on one CPU.

Usage: python -m bench.parts [rounds=3] [seconds=4]
"""

import statistics
import time
from pathlib import Path

from bench.run import NAME, OPTIONS, WORKLOADS, Stack, measure, start_load, table
from tests.shell import docker
from tests.wait import until

ASKED = ("hello", "page with a query", "static, 1 kB")
OFF = {  # file: what is there, and what instead
    "nothing": {},
    "metrics": {".env": ("#METRICS=True", "METRICS=False")},
    "preload": {".env": ("#GUNICORN_PRELOAD=True", "GUNICORN_PRELOAD=False")},
    "nginx's log": {"nginx/http/logging.conf": ("\naccess_log ", "\naccess_log off; # ")},
    "limits of clients": {"nginx/http/concurrency.conf.template": ("\nlimit_conn ", "\n# ")},
    "health checks": {"bench/stack.yaml": ("{ cpuset", "{ healthcheck: { interval: 1h }, cpuset")},
    "TLS": {".env": ("#TLS=on", "TLS=off\nTRUSTED_PROXIES=10.0.0.0/8,172.16.0.0/12,192.168.0.0/16")},
    "nginx": {},
}


class Parts(Stack):
    header = "X-Forwarded-Proto: https"  # counts without TLS only

    def take_away(self, part):
        changed = {self.folder / name: change for name, change in OFF[part].items()}
        former = {file: file.read_text() for file in changed}
        for file, change in changed.items():
            assert change[0] in former[file], f"{file} has no {change[0]}"
            file.write_text(former[file].replace(*change))
        docker(*self.command, "up", "--detach", "--build", "--wait", "--quiet-pull", timeout=600)
        for file, text in former.items():
            file.write_text(text)
        origins = {"TLS": "http://bench.test:8080", "nginx": "http://app:8000"}
        self.origin = origins.get(part, "https://bench.test:8443")
        self.await_answer()
        until(lambda: idle() > 0.9, within=60, what="nothing else at work")  # what has been started is busy at first


def idle():
    """The share of the machine's processors that nobody had for a second."""

    def ticks():
        user, nice, system, idle, *others = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
        return idle, user + nice + system + idle + sum(others)

    before = ticks()
    time.sleep(1)
    after = ticks()
    return (after[0] - before[0]) / (after[1] - before[1])


def main():
    start_load()
    stack = Parts(application="bench/app")
    stack.start()
    docker("network", "connect", f"{NAME}-stack_web", f"{NAME}-recipes-load-1")
    rates = {}
    for number in range(int(OPTIONS["rounds"])):
        for part in OFF:
            stack.take_away(part)
            for workload in ASKED:
                path, clients = WORKLOADS[workload]
                found = measure(stack.origin, path, clients, stack.header)
                rates.setdefault((part, workload), []).append(found["rate"])
                print(f"{number + 1}  {part:<17} {workload:<17} {found['rate']:8.0f}/s", flush=True)
    whole = {workload: statistics.median(rates["nothing", workload]) for workload in ASKED}
    rows = [
        (part, [f"{statistics.median(rates[part, workload]) / whole[workload]:.2f}" for workload in ASKED])
        for part in OFF
    ]
    print("\n".join(table("Requests a second with it off, of those with all on:", ASKED, rows)))


if __name__ == "__main__":
    main()
