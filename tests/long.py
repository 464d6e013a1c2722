"""What `make test` leaves to `make test-all`, which a fork's CI runs each night."""

import pytest


def long_but(kept, cases):
    """These cases for a parametrized test: those of `kept` at each push, the others each night."""
    return [case if case in kept else pytest.param(case, marks=pytest.mark.long) for case in cases]
