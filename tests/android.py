"""Rows that Android tablets need to come in: the agent's package, without a file that anybody could install."""

from fleet.android.addresses import AGENT_APP
from fleet.apps.models import App, AppPackage
from fleet.db import db
from fleet.devices.models import Platform
from tests.conftest import NOW

DIGEST = "ab" * 32


def agent_package(version: str = "6.36") -> AppPackage:
    """Add the agent with a package of this version, as if somebody had uploaded it."""
    app = App(
        app_id=AGENT_APP, platform=Platform.ANDROID, name="Headwind MDM", is_licensed=False, created_at=NOW,
        changed_at=NOW,
    )  # fmt: skip
    db.session.add(app)
    db.session.flush()
    made = AppPackage(
        app_pk=app.id, version=version, build="16360", digest=DIGEST, size_bytes=8_000_000, file_name="hmdm.apk",
        token="agent-token", is_current=True, uploaded_at=NOW,
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    db.session.expire(app, ["package"])
    return made
