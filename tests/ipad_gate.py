"""A gate that iPads can be enrolled at, in the test's own process."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from fleet import clock
from fleet.access import Principal
from fleet.crypto import vault_key
from fleet.devices import tickets
from fleet.mdm.push_keeper import PushKeeper
from tests import apns
from tests import factories as make
from tests.gate import Door, door


@contextmanager
def ipad_door(url: str, data_dir: Path, **environ: str) -> Iterator[Door]:
    """Run a gate that has a push certificate."""
    secrets_dir = data_dir / "secrets"
    keeper = PushKeeper(secrets_dir, vault_key(secrets_dir / "vault.key", may_create=True))
    keeper.keep(apns.Authority().push_certificate())
    with door(url, data_dir, **{"FLEET_PUBLIC_URL": "https://fleet.test", **environ}) as made:
        yield made


def ticket_code(gate: Door, *, number: int = 9) -> str:
    """Make a school and a ticket for it; returns the code."""
    with gate.database():
        place, now = tickets.Place(make.school()), clock.now()
        by = Principal.command_line()
        return tickets.create(place, expires_at=now + timedelta(days=1), max_enrolments=number, by=by, now=now)[1]
