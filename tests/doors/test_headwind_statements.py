"""What many Android tablets cost the database: as many statements for forty as for four, and one for a quiet poll."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from fleet.android.models import AgentClient
from fleet.channels.headwind import messages
from fleet.channels.headwind.telling import Told
from fleet.channels.headwind.work import ConfigItem, Work
from fleet.db import db, id_set
from fleet.devices import states
from tests.doors.test_headwind_door import COMPLETED, FETCHED, assign
from tests.doors.test_headwind_locks import work_of
from tests.gate import Door, door, ticket
from tests.headwind_gate import Raw


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    with door(fresh_url, tmp_path, FLEET_PUBLIC_URL="https://fleet.test") as made:
        yield made


def _raise(gate: Door) -> None:
    with gate.database():
        ids = [one.device_id for one in db.session.query(AgentClient)]
        states.lock(id_set(ids))
        states.raise_version(ids)


def _logged(*texts: str) -> messages.Logged:
    return messages.read_log(json.dumps([{"message": text} for text in texts]).encode())


def costs(gate: Door, work: Work, numbers: Mapping[str, str]) -> dict[str, int]:
    """Return how many statements each unit of work takes for these tablets, told by their tokens' sums."""
    digests = list(numbers)
    with gate.app.app_context():
        engine = db.engine
    seen: list[str] = []
    here = threading.get_ident()

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if threading.get_ident() == here:  # the server's own threads look at the database whenever they like
            seen.append(statement)

    def counted(unit: Callable[[], object]) -> int:
        seen.clear()
        unit()
        return len([one for one in seen if not one.startswith("BEGIN")])

    def raised() -> None:
        _raise(gate)
        seen.clear()
        work.looks(digests)

    info = messages.read_info(b'{"model": "SM-T500", "batteryLevel": 70}')
    event.listen(engine, "before_cursor_execute", note)
    try:
        return {
            "configurations": counted(lambda: work.configs([ConfigItem(*one, None) for one in numbers.items()])),
            "first polls": counted(lambda: work.looks(digests)),
            "quiet polls": counted(lambda: work.looks(digests)),
            "updates done": counted(
                lambda: work.tell([Told(one, logged=_logged(FETCHED, COMPLETED)) for one in digests])
            ),
            "infos": counted(lambda: work.tell([Told(one, info=info) for one in digests])),
            "failures": counted(
                lambda: work.tell(
                    [Told(one, logged=_logged("Failed to download app no.made.up: timeout")) for one in digests]
                )
            ),
            "raised for nothing": counted(raised),
            "quiet again": counted(lambda: work.looks(digests)),
        }
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_forty_tablets_cost_as_many_statements_as_four_and_a_quiet_poll_one(gate: Door) -> None:
    assign(gate, web__blocked=["spill.example"])
    code = ticket(gate)
    for number in range(45):
        Raw(gate, f"BRETT{number}").enrol(code)
    with gate.database():
        found = [(one.token_digest, one.number) for one in db.session.query(AgentClient)]
    costs(gate, work_of(gate), dict(found[:1]))  # the profile's body is read once for all, whoever comes first
    few = costs(gate, work_of(gate), dict(found[1:5]))
    many = costs(gate, work_of(gate), dict(found[5:]))
    assert many == few
    assert few["quiet polls"] == few["quiet again"] == 1
