"""The description of the API names every route of it, and nothing else."""

import re


def test_every_route_of_the_api_is_described_with_its_methods(app, client):
    described = {
        (path, method.upper())
        for path, methods in client.get("/api/openapi.json").json["paths"].items()
        for method in methods
    }
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/") and rule.endpoint != "flagstone_openapi.document"
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert described == served
