"""What gunicorn serves: the application that FLASK_APP names, a module or package with `app` or `create_app()`."""

import os

from flask.cli import ScriptInfo

app = ScriptInfo(os.environ.get("FLASK_APP", "app")).load_app()
