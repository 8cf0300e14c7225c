"""How much of a thing a run tries: a part of it each time, all of it with ``scripts/test --long``."""

import os
from typing import TypeVar

import pytest

T = TypeVar("T")
IS_LONG = os.environ.get("FLEET_TEST_LONG") == "1"


def extent(short: T, long: T) -> T:
    """Return what this run tries."""
    return long if IS_LONG else short


def on(each_time: str) -> pytest.MarkDecorator:
    """Return the mark of a module that takes long: it runs on this database each time, on both in the long form."""
    kinds = extent([each_time], ["sqlite", "postgresql"])
    return pytest.mark.parametrize("database_kind", kinds, indirect=True, scope="session")
