"""What `celery --app flagstone.worker` loads: the queue of the application that gunicorn serves."""

from flagstone import wsgi

celery = wsgi.app.extensions["celery"]
