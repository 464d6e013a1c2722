"""What `celery --app flagstone.worker` loads: the queue of the application that FLASK_APP names."""

import os

from flask.cli import ScriptInfo

celery = ScriptInfo(os.environ.get("FLASK_APP", "app")).load_app().extensions["celery"]
