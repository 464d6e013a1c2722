"""The template's README, which a fork replaces: `make init` removes this file with it."""

import re
from pathlib import Path


def test_each_line_of_the_feature_list_has_its_tests():
    section = Path("README.md").read_text().split("## What it does")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and line != "| | |"]
    linked = [re.findall(r"\]\((tests/[a-z_/]+\.py)\)", line) for line in lines]
    assert all(linked), "a line has no test"
    for file in {file for files in linked for file in files}:
        assert re.search(r"^def test_", Path(file).read_text(), re.MULTILINE), file
