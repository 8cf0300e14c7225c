"""Who gets what: reports, their files and mails, and how long data is kept."""

from typing import Any

from fleet import clock
from fleet.access import Principal
from fleet.db import db
from fleet.people.models import Account
from fleet.reports import exports, schedules
from fleet.reports.models import Format, Rhythm
from fleet.reports.parameters import Parameters
from tests.domain.test_reports import OSLO
from tests.doors.policy import ADMIN_ONLY, SIGNED_IN, Routes
from tests.visiting import World

_LOOKS_AFTER = (302, 200, 200, 200, 403, 403, 403)
_STAFF = (302, 200, 200, 200, 200, 200, 403)
_OF_SCHOOL = (302, 200, 200, 404, 404, 404, 403)
_UNKNOWN = (302, 404, 404, 404, 404, 404, 404)
_OWN = (302, 404, 404, 404, 404, 404, 404)

ROUTES: Routes = {
    "web.reports": [("/reports", SIGNED_IN)],
    "web.report": [
        ("/reports/compliance", _STAFF),
        ("/reports/compliance?period=year&since=x&until=2026-99-99", _STAFF),
        ("/reports/compliance?class={w.own_class.id}", (302, 200, 200, 404, 200, 404, 403)),
        ("/reports/places?school={w.school.id}", _OF_SCHOOL),
        ("/reports/findings", _LOOKS_AFTER),
        ("/reports/finding-list?kind=no-such&period=quarter", _LOOKS_AFTER),
        ("/reports/incidents?school={w.school.id}", (302, 200, 200, 404, 403, 403, 403)),
        ("/reports/questions", _LOOKS_AFTER),
        ("/reports/lessons?period=year", _STAFF),
        ("/reports/apps?platform=android", _LOOKS_AFTER),
        ("/reports/systems?platform=nonsense", _LOOKS_AFTER),
        ("/reports/deliveries", _LOOKS_AFTER),
        ("/reports/tablets?school={w.school.id}", (302, 200, 200, 404, 403, 403, 403)),
        ("/reports/unknown", _UNKNOWN),
    ],
    "web.report_file": [
        ("/reports/compliance/file/csv", _STAFF),
        ("/reports/tablets/file/xlsx?school={w.school.id}", (302, 200, 200, 404, 403, 403, 403)),
        ("/reports/findings/file/pdf?period=year", _LOOKS_AFTER),
        ("/reports/findings/file/exe", _UNKNOWN),
    ],
    "web.report_export": [
        ("POST /reports/tablets/export", (302, 404, 404, 404, 404, 404, 404)),
        ("POST /reports/tablets/export?format=xlsx", (302, 404, 404, 404, 404, 404, 404)),
    ],
    "web.report_exports": [("/reports/files", SIGNED_IN)],
    "web.report_export_file": [("/reports/files/{export_id}", _OWN), ("/reports/files/999999", _OWN)],
    "web.report_export_remove": [("POST /reports/files/{export_id}/remove", _OWN)],
    "web.report_schedules": [("/reports/mails", SIGNED_IN)],
    "web.report_schedule": [("POST /reports/findings/mail", (302, 404, 404, 404, 404, 404, 404))],
    "web.report_schedule_remove": [("POST /reports/mails/{schedule_id}/remove", _OWN)],
    "web.kept_data": [("/jobs/kept-data", ADMIN_ONLY)],
}


def fill(world: World) -> dict[str, Any]:
    """Add a file and a mail of somebody who is none of the visitors."""
    other = Account(username="rapport", name="Rapport", created_at=clock.now())
    db.session.add(other)
    db.session.flush()
    by = Principal("account", str(other.id), Principal.command_line().grants)
    now, given = clock.now(), Parameters()
    asked = exports.ask("tablets", given, Format.PDF, language="nb", rows=1, file_name="a.pdf", by=by, now=now)
    mailed = schedules.add("compliance", given, Format.PDF, Rhythm.WEEKLY, by=by, now=now, timezone=OSLO)
    return {"export_id": asked.id, "schedule_id": mailed.id}
