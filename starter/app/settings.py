"""The settings of this application, beside those of the platform (flagstone/config.py), and set like them.

Imports nothing of the application: gunicorn's master process reads this, before gevent has patched anything.
"""

from flagstone.config import BaseConfig


class Settings(BaseConfig):
    MSG: str = "Hello, world"  # shown on the status page
