"""Flask's sessions, which cost nothing where there is none: then no cookie is parsed, and no key made to verify it."""

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface


def init_app(app: Flask) -> None:
    if type(app.session_interface) is SecureCookieSessionInterface:  # and not the application's own
        app.session_interface = Sessions()


class Sessions(SecureCookieSessionInterface):
    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if app.secret_key and self.get_cookie_name(app) not in request.environ.get("HTTP_COOKIE", ""):
            return self.session_class()
        return super().open_session(app, request)
