"""What `celery --app app.worker` loads, for the worker and for beat."""

from app import create_app

celery = create_app().extensions["celery"]
