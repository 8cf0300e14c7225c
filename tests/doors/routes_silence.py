"""Who gets what: silence, questions, incidents, and who is away."""

from datetime import timedelta
from typing import Any

from fleet import clock
from fleet.compliance.models import FindingKind, Incident, IncidentCause, IncidentMember, Question
from fleet.db import db
from fleet.schools.models import Absence, AbsenceSource
from tests import factories, visiting
from tests.doors.policy import NOWHERE, SIGNED_IN, Routes, Statuses
from tests.visiting import World

_AT_SCHOOL: Statuses = (302, 200, 200, 404, 404, 404, 404)
_OWN_CLASS: Statuses = (302, 200, 200, 404, 200, 404, 404)
_BAD_IN_OWN_CLASS: Statuses = (302, 400, 400, 404, 400, 404, 404)
_OF_SCHOOLS: Statuses = (302, 200, 200, 200, 403, 403, 403)
_BAD: Statuses = (302, 400, 400, 400, 400, 400, 400)

ROUTES: Routes = {
    "web.silence": [("/silence", SIGNED_IN), ("/silence?page=9", SIGNED_IN)],
    "web.question_answer": [
        ("POST /questions/2147483647/answer", _BAD),
        ("POST /questions/2147483647/answer?answer=here", _BAD),
    ],  # of one that there is: see test_web_silence
    "web.question_take_back": [("POST /questions/2147483647/take-back", NOWHERE)],
    "web.incident_list": [("/incidents", SIGNED_IN)],
    "web.incident": [
        ("/incidents/{incident_id}", _AT_SCHOOL),
        ("/incidents/{incident_id}?page=9", _AT_SCHOOL),
        ("/incidents/{past_incident_id}", _AT_SCHOOL),
        ("/incidents/2147483647", NOWHERE),
    ],
    "web.tablet_silence": [
        ("/tablets/OWN1/silence", _OWN_CLASS),
        ("/tablets/ASKED1/silence", _OWN_CLASS),
        ("/tablets/QUIET0/silence", _OWN_CLASS),
    ],
    "web.class_absence": [("/classes/{w.own_class.id}/absence", _OWN_CLASS), ("/classes/2147483647/absence", NOWHERE)],
    "web.class_absence_enter": [("POST /classes/{w.own_class.id}/absence", _BAD_IN_OWN_CLASS)],
    "web.absence_file": [("/absences/import", _OF_SCHOOLS)],
    "web.absence_send": [("POST /absences/import", (302, 400, 400, 400, 403, 403, 403))],
    "web.absence_look": [("/absences/import/unknown", (302, 404, 404, 404, 403, 403, 403))],
    "web.absence_use": [("POST /absences/import/unknown", (302, 404, 404, 404, 403, 403, 403))],
    "web.absence_remove": [("POST /absences/2147483647/remove", NOWHERE)],
}


def fill(world: World) -> dict[str, Any]:
    """Add a question, a missing tablet, an incident with members and one that is over, and somebody who is away."""
    now = clock.now()
    asked, gone = (
        factories.device(world.school, class_id=world.own_class.id, serial=serial) for serial in ("ASKED1", "GONE9")
    )
    since = (now - timedelta(days=1)).isoformat()
    visiting.finding(asked, FindingKind.SILENT, since=since, missed_s=15_000)
    visiting.finding(gone, FindingKind.MISSING, since=since, missed_s=70_000)
    db.session.add(Question(device_id=asked.id, class_id=world.own_class.id, asked_at=now, escalated_at=now))
    pupil = factories.pupil(world.school)
    factories.membership(pupil, world.own_class)
    on = now.date()
    absence = Absence(
        person_id=pupil.id, starts_on=on - timedelta(days=1), ends_on=on + timedelta(days=1),
        source=AbsenceSource.TYPED, entered_by="cli", created_at=now,
    )  # fmt: skip
    standing = incident(world, began_at=now - timedelta(hours=3))
    past = incident(world, began_at=now - timedelta(days=9), closed_at=now - timedelta(days=8))
    db.session.add(absence)
    db.session.flush()
    for number, one in enumerate((standing, past)):
        member = factories.device(world.school, class_id=world.own_class.id, serial=f"QUIET{number}")
        db.session.add(
            IncidentMember(incident_id=one.id, device_id=member.id, joined_at=one.opened_at, left_at=one.closed_at)
        )
    db.session.flush()
    return {"incident_id": standing.id, "past_incident_id": past.id}


def incident(world: World, **told: Any) -> Incident:
    """Make an incident of the school's two classes."""
    found = Incident(
        school_id=world.school.id, cause=IncidentCause.NETWORK, most=43, of=210,
        about={"class_ids": [world.own_class.id, world.next_class.id]},
        **{"opened_at": told["began_at"] + timedelta(hours=2), **told},
    )  # fmt: skip
    db.session.add(found)
    db.session.flush()
    return found
