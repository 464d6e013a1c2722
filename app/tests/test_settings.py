"""The settings of this application, and where it says what they mean."""

import re
from typing import get_type_hints

import pytest

from app.settings import Settings
from flagstone.config import BaseConfig, ConfigError, load
from tests.conftest import ROOT
from tests.unit.test_config import GOOD

OWN = {*get_type_hints(Settings)} - {*get_type_hints(BaseConfig)}


def test_production_refuses_to_start_without_a_key_for_tokens():
    assert load(GOOD | {"JWT_PRIVATE_KEY": "a key; app/auth/keys.py looks at it"}).APP_ENV == "Production"
    with pytest.raises(ConfigError) as caught:
        load(GOOD)
    assert caught.value.faults.keys() == {"JWT_PRIVATE_KEY"}


def test_each_has_its_line_in_env_example_with_its_default_or_a_secret():
    shown = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / "app/.env.example").read_text(), re.MULTILINE))
    secrets = {name.upper() for name in re.findall(r"secrets/(\w+)", (ROOT / "app/services.yaml").read_text())}
    assert OWN - secrets == shown.keys() - {"PROJECT_NAME", "DOMAIN"}
    for name in OWN - secrets - {"JWT_ISSUER"}:
        assert shown[name] == str(getattr(Settings, name)), name
