"""What tests of the tablets' door share: a running gate, and a tablet that is taken in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gate import Door, Tablet, door, ticket


@pytest.fixture
def server(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path) as running:
        yield running


@pytest.fixture
def tablet(server: Door) -> Tablet:
    made = Tablet(server)
    assert made.enrol(ticket(server), "SN0001").status == 201
    return made
