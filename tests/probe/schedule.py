"""What the clock queues for this application."""

from celery.schedules import crontab

SCHEDULE = {
    "forget old jobs": {"task": "probe.forget", "schedule": crontab(minute="*/10"), "options": {"expires": 600}},
}
