"""How much of a thing a run tries: a part of it each time, all of it with ``scripts/test --long``."""

import os
from typing import TypeVar

import pytest

T = TypeVar("T")
IS_LONG = os.environ.get("FLEET_TEST_LONG") == "1"


def extent(short: T, long: T) -> T:
    """Return what this run tries."""
    return long if IS_LONG else short


# For modules that try very much: PostgreSQL, the stricter of the two, each time; SQLite as well in the long form.
on_the_stricter_database = pytest.mark.parametrize(
    "database_kind", extent(["postgresql"], ["sqlite", "postgresql"]), indirect=True, scope="session"
)
