"""Other sites whose pages may use the API from a browser. None, unless CORS_ORIGINS names them."""

from flask import Flask


def init_app(app: Flask) -> None:
    if origins := app.config["CORS_ORIGINS"]:
        from flask_cors import CORS  # not loaded where it is off

        CORS(
            app,
            resources="/api/.*",
            origins=origins,
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Location", "Retry-After", "X-Request-ID"],
            max_age=3600,  # seconds that a browser remembers a preflight
            always_send=False,  # else a request without an Origin would be told all of them
        )
