"""What is queued by the clock: for the platform, and what app/schedule.py names.

`celery --app flagstone.beat beat` loads this and no database: half the memory.
"""

import logging
from typing import Any

from celery import beat
from celery.schedules import crontab

from flagstone import config, log
from flagstone.broker import QUEUE_GONE, make_queue, show_alive

logger = logging.getLogger(__name__)

# Each looks for whatever there is to do, so one that is not queued, as Redis is away, is made up for by the next one.
SCHEDULE = {
    "settle uploads": {
        "task": "flagstone.uploads.settle",
        "schedule": crontab(minute="*/10"),
        "options": {"expires": 600},  # when no worker runs, they do not pile up
    },
    "send mail that waits": {"task": "flagstone.mail.deliver", "schedule": crontab(), "options": {"expires": 60}},
}


class Scheduler(beat.Scheduler):
    """Celery's own that remembers nothing: the clock says what is due. Its heart beats while Redis answers."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        pause = super().tick(*args, **kwargs)
        try:
            with self.app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
                show_alive(connection.default_channel.client, "beat")
        except QUEUE_GONE as error:
            logger.warning("The queue is away: %s", error)
        return pause


settings = config.load()
log.configure(settings)
celery = make_queue({name: getattr(settings, name) for name in dir(settings) if name.isupper()})
own = config.part_of_app("schedule")
celery.conf.update(
    beat_schedule=SCHEDULE | (own.SCHEDULE if own else {}), beat_scheduler=Scheduler, beat_max_loop_interval=5
)
