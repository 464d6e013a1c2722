"""Settings of an application, beside those of the platform."""

from flagstone.config import BaseConfig


class Settings(BaseConfig):
    GREETING: str = "Hello"  # the heading of the front page
    STEP_SECONDS: float = 0.3  # that a job takes for each tenth of it
