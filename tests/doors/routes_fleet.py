"""Who gets what: schools, tablets and findings."""

from typing import Any

from fleet import clock
from fleet.access import Principal
from fleet.compliance import ruling
from fleet.compliance.models import Finding
from fleet.compliance.ruling import Draft
from fleet.db import db
from tests.doors.policy import ADMIN_ONLY, NOWHERE, SIGNED_IN, Routes
from tests.visiting import World

_SEE_RULES = (302, 200, 200, 200, 403, 403, 403)

ROUTES: Routes = {
    "web.school": [
        ("/schools/{w.school.id}", (302, 200, 200, 404, 200, 200, 404)),
        ("/schools/{w.other_school.id}", (302, 200, 404, 200, 404, 404, 404)),
        ("/schools/2147483647", NOWHERE),
    ],
    "web.tablet": [
        ("/tablets/{w.tablet.serial}", (302, 200, 200, 404, 200, 404, 404)),
        ("/tablets/{w.tablet.asset_tag}", (302, 200, 200, 404, 200, 404, 404)),
        ("/tablets/{w.next_tablet.serial}", (302, 200, 200, 404, 404, 200, 404)),
        ("/tablets/{w.other_tablet.serial}", (302, 200, 404, 200, 404, 404, 404)),
        ("/tablets/NONE", NOWHERE),
    ],
    "web.findings_answer": [("POST /findings", (302, 400, 400, 400, 400, 400, 400))],
    "web.findings_undo": [("POST /findings/undo", (302, 303, 303, 303, 303, 303, 303))],
    "web.finding": [
        ("/findings/{finding_id}", (302, 200, 200, 404, 200, 404, 404)),
        ("/findings/2147483647", NOWHERE),
    ],
    "web.finding_answer": [("POST /findings/{finding_id}", (302, 400, 400, 404, 400, 404, 404))],
    "web.rules": [("/rules", _SEE_RULES)],
    "web.rule_new": [("/rules/new", ADMIN_ONLY)],
    "web.rule_make": [("POST /rules/new", (302, 400, 403, 403, 403, 403, 403))],
    "web.rule": [
        ("/rules/storage-low", _SEE_RULES),
        ("/rules/{rule_code}", _SEE_RULES),
        ("/rules/unknown", (302, 404, 404, 404, 403, 403, 403)),
    ],
    "web.rule_save": [("POST /rules/{rule_code}", (302, 400, 403, 403, 403, 403, 403))],
    "web.rule_switch": [("POST /rules/{rule_code}/switch?to=on", (302, 303, 403, 403, 403, 403, 403))],
    "web.rule_reset": [("POST /rules/storage-low/reset", (302, 303, 403, 403, 403, 403, 403))],
    "web.rule_remove": [("POST /rules/unknown/remove", (302, 404, 403, 403, 403, 403, 403))],
    "web.findings": [
        ("/findings?attention=closed&severity=serious", SIGNED_IN),
        ("/findings", SIGNED_IN),
        ("/findings?school_id={w.other_school.id}&kind=app-blocked&page=2", SIGNED_IN),  # what is shown: tested there
    ],
}


def fill(world: World) -> dict[str, Any]:
    """Add a rule of one's own; returns it and a finding at the first school's first tablet."""
    draft = Draft(None, "Gammel nettleser", "older(os.version, '12.0')", shows=("os.version",))
    rule = ruling.save(draft, by=Principal.command_line(), now=clock.now())
    finding = db.session.query(Finding).filter_by(device_id=world.tablet.id).first()
    assert finding is not None
    return {"rule_code": rule.code, "finding_id": finding.id}
