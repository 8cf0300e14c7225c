"""What the protocol's tests share."""

from collections.abc import Iterator

import pytest

from agent_protocol.transport import authority_of
from tests.unit.protocol import small_server
from tests.unit.protocol.served import Served


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    server = Served()
    monkeypatch.setattr(small_server, "AUTHORITY", authority_of(server.address))
    yield server
    server.stop()
