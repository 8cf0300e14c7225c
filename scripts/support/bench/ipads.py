"""``apple-poll``: what an iPad's call costs that has nothing to say and gets nothing, against a bare Flask route."""

import base64
import plistlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import insert, update

from bench import doors, load, school
from bench.doors import CONNECTIONS
from bench.school import Bench, Ground, Tablet
from fleet import clock
from fleet.config import Config
from fleet.crypto import vault_key
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceState, Enrolment
from fleet.mdm import authority
from fleet.mdm.models import Client
from tests import apple_messages
from tests.apple_messages import IPAD, Identity
from tests.serving import serving

TABLETS = 500
_PUBLIC = f"https://{school.AUTHORITY}"


def equip(made: Ground, tablets: Sequence[Tablet]) -> list[bytes]:
    """Make iPads of tablets, each with a certificate of ours; return a signed call of each."""
    config: Config = made.app.extensions["fleet_config"]
    now = clock.now()
    vault = vault_key(config.secrets_dir / "vault.key", may_create=True)
    ca = authority.load(config.secrets_dir, vault, now=now)
    key = apple_messages.rsa_key()  # one for all: what is measured knows them by their certificates
    calls = []
    with made.app.app_context(), transaction():
        for tablet in tablets:
            certificate = ca.issue(key.public_key(), subject_name="tablet", now=now)
            identity = Identity(key, certificate)
            state = db.session.get_one(DeviceState, tablet.device_id)
            name = db.session.get_one(Device, tablet.device_id).serial
            state.key_thumbprint = identity.name
            told = {"thumbprint": identity.name, "name": name, "device_id": tablet.device_id}
            db.session.execute(
                update(Enrolment)
                .where(Enrolment.device_id == tablet.device_id)
                .values(channel="apple", key_thumbprint=identity.name)
            )
            db.session.execute(
                insert(Client).values(
                    **told, followed_version=state.config_version, followed_profile=state.desired_digest,
                    last_status="idle", ask_at=now + timedelta(days=1), is_set_up=True, rings=0, reachable_at=now,
                )
            )  # fmt: skip
            body = plistlib.dumps({"Status": "Idle", "UDID": name})
            signature = apple_messages.signed_message(body, identity, IPAD, attached=False)
            headers = {"Host": school.AUTHORITY, "Mdm-Signature": base64.b64encode(signature).decode()}
            calls.append(load.request("PUT", "/apple/mdm", headers, body))
            assert certificate.public_bytes(Encoding.DER) == identity.der  # noqa: S101 (what was signed with)
    with made.app.app_context():
        db.engine.dispose()
    return calls


def run(*, kind: str, quick: bool) -> dict[str, Any]:
    """Run the bench and return its numbers.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        quick: only so long that one sees that it runs.
    """
    rounds, count = (2, CONNECTIONS * 2) if quick else (84, TABLETS)
    with school.ground(kind, FLEET_PUBLIC_URL=_PUBLIC) as made:
        calls = equip(made, school.enrol(made.app, count))
        queues = [calls[place::CONNECTIONS] for place in range(CONNECTIONS)]
        with serving(made.url, made.data_dir, jobs="off", FLEET_QUEUE_LIMIT="5000", FLEET_PUBLIC_URL=_PUBLIC) as server:
            bench = Bench(server, [], made.database_pid, made.conninfo)
            doors.require(load.send(server.port, queues), 200)  # certificates are read
            found = doors.compare(bench, lambda number: [one * number for one in queues], rounds, 200, quick=quick)
    found["polls_per_s"], found["statements_per_poll"] = found.pop("per_s"), found.pop("statements")
    return {**found, "database": kind, "ipads": count, "requests": count * rounds}
