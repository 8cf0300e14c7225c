"""Who gets what: lessons, what is planned, and one's own sets."""

from datetime import time
from typing import Any

from fleet import clock
from fleet.lessons import plans, sets
from fleet.lessons.models import SetKind
from fleet.people import accounts
from tests.doors.policy import NOWHERE, SIGNED_IN, Routes, Statuses
from tests.lessons import OSLO
from tests.visiting import World

# A form that tells what no page of ours does: refused before anybody looks what there is.
_BAD: Statuses = (302, 400, 400, 400, 400, 400, 400)
_OWN_CLASS: Statuses = (302, 200, 200, 404, 200, 404, 404)

ROUTES: Routes = {
    "web.lessons": [("/lessons", SIGNED_IN)],
    "web.lesson_start": [
        ("/classes/{w.own_class.id}/lesson", _OWN_CLASS),
        ("/classes/{w.next_class.id}/lesson", (302, 200, 200, 404, 404, 200, 404)),
        ("/classes/2147483647/lesson", NOWHERE),
    ],
    "web.lesson": [("/lessons/2147483647", NOWHERE)],  # of one that there is: see test_web_lessons
    "web.lesson_tablet": [("/lessons/2147483647/tablets/1", NOWHERE)],  # as above
    "web.lesson_calibration": [("/lessons/calibration", (302, 200, 200, 200, 403, 403, 403))],
    "web.lesson_plans": [("/lessons/plans", SIGNED_IN)],
    "web.lesson_plan_new": [
        ("/classes/{w.own_class.id}/plan", _OWN_CLASS),
        ("/classes/2147483647/plan", NOWHERE),
    ],
    "web.lesson_sets": [("/lessons/sets", SIGNED_IN)],
    "web.lesson_start_now": [("POST /classes/2147483647/lesson", NOWHERE)],
    "web.lesson_end": [("POST /lessons/2147483647/end", NOWHERE)],
    "web.lesson_again": [("POST /lessons/2147483647/again", NOWHERE)],
    "web.lesson_set": [("POST /lessons/2147483647/set", NOWHERE)],
    "web.lesson_hand_over": [("POST /lessons/2147483647/hand-over", NOWHERE)],
    "web.lesson_message": [("POST /lessons/2147483647/message", NOWHERE)],
    "web.lesson_open": [("POST /lessons/2147483647/open", NOWHERE)],
    "web.lesson_extend": [
        ("POST /lessons/2147483647/extend", _BAD),
        ("POST /lessons/2147483647/extend?until=2026-09-14T09:00:00%2B00:00", NOWHERE),
    ],
    "web.lesson_tablets": [
        ("POST /lessons/2147483647/tablets", _BAD),
        ("POST /lessons/2147483647/tablets?bring=1", NOWHERE),
    ],
    "web.lesson_plan_make": [("POST /classes/2147483647/plan", NOWHERE)],
    "web.lesson_plan_skip": [
        ("POST /lessons/plans/{plan_id}/skip", _BAD),
        ("POST /lessons/plans/2147483647/skip?on=2026-09-21", NOWHERE),
    ],
    "web.lesson_plan_unskip": [
        ("POST /lessons/plans/{plan_id}/unskip", _BAD),
        ("POST /lessons/plans/2147483647/unskip?on=2026-09-21", NOWHERE),
    ],
    "web.lesson_plan_withdraw": [
        ("POST /lessons/plans/2147483647/withdraw", NOWHERE),
        ("POST /lessons/plans/{plan_id}/withdraw", (302, 303, 303, 404, 303, 404, 404)),
    ],
    # Whoever teaches no class can make no set.
    "web.lesson_sets_ship": [("POST /lessons/sets/_ready-made", (302, 303, 403, 403, 403, 403, 403))],
    "web.lesson_set_make": [("POST /lessons/sets", (302, 404, 404, 404, 400, 400, 404))],
    "web.lesson_set_withdraw": [
        ("POST /lessons/sets/{set_id}/withdraw", (302, 404, 404, 404, 303, 404, 404)),
        ("POST /lessons/sets/2147483647/withdraw", NOWHERE),
    ],
    "web.lesson_set_restore": [
        ("POST /lessons/sets/{set_id}/restore", (302, 404, 404, 404, 303, 404, 404)),
        ("POST /lessons/sets/2147483647/restore", NOWHERE),
    ],
}


def fill(world: World) -> dict[str, Any]:
    """Add a teacher's own set, and a lesson planned with it each Monday."""
    now = clock.now()
    by = accounts.principal(accounts.find("teacher"), today=now.date())
    given = sets.quick(SetKind.EYES, school_class=world.own_class, by=by, now=now)
    plan = plans.plan(
        world.own_class, given, weekday=0, starts_at=time(10), ends_at=time(11), holder_id=None, by=by, now=now,
        timezone=OSLO,
    )  # fmt: skip
    return {"set_id": given.id, "plan_id": plan.id}
