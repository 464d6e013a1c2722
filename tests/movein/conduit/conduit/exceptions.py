"""What the API answers where it cannot do as asked."""

from flask import jsonify


class InvalidUsage(Exception):
    status_code = 422

    def __init__(self, message, status_code=422):
        super().__init__(message)
        self.message = message
        self.status_code = status_code

    def to_json(self):
        response = jsonify(errors={"body": [self.message]})
        response.status_code = self.status_code
        return response


def handle_validation_error(error):
    messages = getattr(error, "data", {}).get("messages", {"json": {"body": ["Invalid request."]}})
    return jsonify(errors=messages.get("json", messages)), 422


def handle_not_found(error):
    return jsonify(errors={"body": ["Not found."]}), 404
