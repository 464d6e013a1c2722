"""url_for('static', ...) by the names that the build gave the files (nginx/static.py), which may be cached for good.

In development, where the source is mounted, there is no manifest and names are plain.
"""

import json
from pathlib import Path
from typing import Any

from flask import Flask

MANIFEST = "manifest.json"  # in the application's folder


def init_app(app: Flask) -> None:
    manifest = Path(app.root_path, MANIFEST)
    if not manifest.exists():
        return
    names = json.loads(manifest.read_text())

    @app.url_defaults
    def fingerprint(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values["filename"] = names[values["filename"]]  # a KeyError: there is no such file
