"""Metrics for Prometheus at /metrics: of requests, by route template, and of the services the app depends on.

nginx hides the address (nginx/site/denied.conf); inside the network it is http://app:8000/metrics. gunicorn's processes
share their values through files (PROMETHEUS_MULTIPROC_DIR, gunicorn.conf.py), so any of them can answer for all.
"""

import os
from collections.abc import Callable
from functools import partial, wraps
from math import nan
from typing import Any

from flask import Flask, Request, Response, request
from prometheus_client import CollectorRegistry, Counter, Gauge, values
from prometheus_flask_exporter import PrometheusMetrics
from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from flagstone import database
from flagstone.broker import last_heard, queue_length
from flagstone.cache import REDIS_GONE, make_client
from flagstone.extensions import cache

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

if "GUNICORN_STARTED" in os.environ:
    # Files are named after the slot of the process, not its pid: its successor goes on counting in them.
    values.ValueClass = values.MultiProcessValue(lambda: os.environ.get("GUNICORN_SLOT", "master"))


def init_app(app: Flask) -> None:
    if not app.config["METRICS"] or "prometheus_metrics" in app.view_functions:  # the application's own exporter
        return
    registry = CollectorRegistry()
    with app.app_context():
        watch_pool(registry)
        watch_cache(registry)
    if started := os.environ.get("GUNICORN_STARTED"):
        mode = {"registry": registry, "multiprocess_mode": "livemax"}
        start = Gauge("app_start_time_seconds", "When gunicorn was started, with this release", ["release"], **mode)
        in_each_process(lambda: start.labels(app.config["RELEASE"]).set(float(started)))
    PrometheusMetrics(
        app,
        registry=registry,
        group_by=url_rule,
        excluded_paths="/health(/|$)",
        metrics_decorator=measuring(app, registry) if app.config["REDIS_URL"] else None,
    )
    app.after_request(skip_odd_methods)  # after the exporter's, which thereby runs after it


def in_each_process(tell: Callable[[], None]) -> None:
    """Now, and in those that gunicorn will start from this one."""
    tell()
    os.register_at_fork(after_in_child=tell)


def url_rule(request: Request) -> str:
    """The template, not the path: as many series as there are routes, whatever a client makes up."""
    return request.url_rule.rule if request.url_rule else "none"


def skip_odd_methods(response: Response) -> Response:
    if request.method not in METHODS:
        request.prom_do_not_track = True
    return response


def watch_pool(registry: CollectorRegistry) -> None:
    engine = database.engine()
    if not isinstance(engine.pool, QueuePool):  # SQLite in memory
        return
    mode = {"registry": registry, "multiprocess_mode": "livesum"}
    used = Gauge("database_pool_checked_out", "Database connections in use", **mode)
    limit = Gauge("database_pool_size", "Database connections that may be in use at once", **mode)
    in_each_process(partial(limit.set, database.pool_limit()))
    # Asked, not counted: a connection that fails is returned, too, without ever having been handed out.
    event.listen(engine, "checkout", lambda *_: used.set(engine.pool.checkedout()))
    event.listen(engine, "checkin", lambda *_: used.set(engine.pool.checkedout() - 1))  # it is about to be


def watch_cache(registry: CollectorRegistry) -> None:
    hits = Counter("cache_hits", "Values found in the cache", registry=registry)
    misses = Counter(
        "cache_misses", "Values not found in the cache, or not asked for while it is lost", registry=registry
    )
    get = cache.cache.get

    def counting(key: str) -> Any:
        value = get(key)
        (misses if value is None else hits).inc()
        return value

    cache.cache.get = counting


def measuring(app: Flask, registry: CollectorRegistry) -> Callable[..., Any]:
    """Decorates the view /metrics: what is the same for all processes is asked for when Prometheus asks."""
    mode = {"registry": registry, "multiprocess_mode": "livemostrecent"}
    length = Gauge("celery_queue_length", "Jobs that wait for a worker; NaN while Redis is lost", **mode)
    heard = Gauge("celery_heartbeat_timestamp_seconds", "When it was last heard of; NaN: never", ["process"], **mode)
    lost = Gauge("cache_lost", "1 while Redis does not answer", **mode)
    client = make_client(app.config, retries=0)  # so that a scrape waits for one time-out at most

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def measured() -> Any:
            try:
                length.set(queue_length(client))
                for process, moment in last_heard(client).items():
                    heard.labels(process).set(moment)
                lost.set(0)
            except REDIS_GONE:
                length.set(nan)
                lost.set(1)
            return view()

        return measured

    return decorate
