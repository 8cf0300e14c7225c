"""Rows that Android tablets need to come in: the agent's package, without a file that anybody could install."""

from collections.abc import Sequence

from fleet.android.addresses import AGENT_APP
from fleet.apps.models import App, AppPackage
from fleet.db import db
from fleet.devices.models import Platform
from tests.conftest import NOW

DIGEST, SIGNER = "ab" * 32, "cd" * 32


def agent_package(version: str = "6.36", *, kind: str = "apk", cpus: Sequence[str] = ("",)) -> App:
    """Add the agent with a package of this version, or one for each of these processors, as if they were uploaded."""
    app = App(
        app_id=AGENT_APP, platform=Platform.ANDROID, name="Headwind MDM", is_licensed=False, created_at=NOW,
        changed_at=NOW,
    )  # fmt: skip
    db.session.add(app)
    db.session.flush()
    for number, cpu in enumerate(cpus):
        db.session.add(
            AppPackage(
                app_pk=app.id, version=version, build="16360", digest=DIGEST, size_bytes=8_000_000, kind=kind, cpu=cpu,
                file_name="hmdm.apk", token=f"agent-token{number or ''}", is_current=True, uploaded_at=NOW,
                certificate=SIGNER,
            )
        )  # fmt: skip
    db.session.flush()
    db.session.expire(app, ["packages"])
    return app
