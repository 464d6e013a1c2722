"""What the clock queues for this application, beside what flagstone/beat.py does. Tasks by name: beat loads none."""

from celery.schedules import crontab

# Each looks for whatever there is to do, so one that is not queued, as Redis is away, is made up for by the next one.
SCHEDULE = {
    "delete expired reports": {
        "task": "app.reports.tasks.delete_expired",
        "schedule": crontab(minute="*/10"),
        "options": {"expires": 600},  # when no worker runs, they do not pile up
    },
    "queue lost reports again": {
        "task": "app.reports.tasks.queue_lost",
        "schedule": crontab(minute="*/5"),
        "options": {"expires": 300},
    },
}
