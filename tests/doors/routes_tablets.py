"""Who gets what: the list of tablets, what is done with them, and orders."""

from tests.doors.policy import ADMIN_ONLY, NOWHERE, SIGNED_IN, Routes, Statuses

# Who looks after tablets anywhere gets the page, whatever the tablets; who does not is told so.
_ACTS: Statuses = (302, 200, 200, 200, 403, 403, 403)
_DOES: Statuses = (302, 303, 303, 303, 403, 403, 403)

_OWN: Statuses = (302, 200, 200, 404, 200, 404, 404)  # of the teacher's own class
_FIXES: Statuses = (302, 200, 200, 404, 403, 404, 404)  # who may see it and who may change it differ

ROUTES: Routes = {
    "web.tablets": [("/tablets", SIGNED_IN), ("/tablets?q=own&state=lost&sort=-seen&page=9&size=100", SIGNED_IN)],
    "web.tablets_file": [("/tablets.csv", SIGNED_IN)],
    "web.tablet_actions": [("POST /tablet-actions", NOWHERE)],
    "web.tablet_action": [
        ("/tablet-actions/ring?id={w.tablet.id}", _ACTS),
        ("/tablet-actions/wipe?id={w.other_tablet.id}", _ACTS),
        ("/tablet-actions/move", _ACTS),
        ("/tablet-actions/unknown", NOWHERE),
    ],
    "web.tablet_action_now": [("POST /tablet-actions/ring", _DOES), ("POST /tablet-actions/unknown", NOWHERE)],
    "web.tablet_action_undo": [("POST /tablet-actions/undo/0123", _DOES)],
    "web.orders": [("/orders", _ACTS), ("/orders?state=open&kind=ring&school={w.other_school.id}", _ACTS)],
    "web.orders_withdraw": [("POST /orders/together/0123/withdraw", NOWHERE)],
    "web.order_approve": [("POST /orders/2147483647/approve", NOWHERE)],
    "web.order_decline": [("POST /orders/2147483647/decline", NOWHERE)],
    "web.order_location": [("POST /orders/2147483647/location", NOWHERE)],
    "web.order_withdraw": [("POST /orders/2147483647/withdraw", NOWHERE)],
    "web.tablet_why": [
        ("/tablets/OWN1/why", _OWN),
        ("/tablets/OWN1/why?q=x&group=profile&class=1&at=x&ended=yes", _OWN),
    ],
    "web.tablet_timeline": [("/tablets/OWN1/timeline", _OWN), ("/tablets/OWN1/timeline?before=x", _OWN)],
    "web.tablet_orders": [("/tablets/OWN1/orders", _OWN)],
    "web.tablet_edit": [
        ("/tablets/OWN1/edit", _FIXES),
        ("/tablets/OWN1/edit?class=999999999", (302, 404, 404, 404, 403, 404, 404)),
    ],
    "web.tablet_tag": [("POST /tablets/OWN1/tag", (302, 303, 303, 404, 403, 404, 404))],
    "web.tablet_pupil": [("POST /tablets/NEXT1/pupil", (302, 400, 400, 404, 404, 403, 404))],
    "web.tablet_note": [("POST /tablets/OWN1/notes", (302, 400, 400, 404, 403, 404, 404))],
    "web.tablet_note_remove": [("POST /tablets/OWN1/notes/2147483647/remove", (302, 404, 404, 404, 403, 404, 404))],
    "web.schools": [("/schools", SIGNED_IN), ("/schools?q=x", SIGNED_IN)],
    "web.school_new": [("/schools/new", ADMIN_ONLY)],
    "web.school_make": [("POST /schools/new", (302, 400, 403, 403, 403, 403, 403))],
    "web.school_edit": [
        ("/schools/{w.school.id}/edit", (302, 200, 200, 404, 403, 403, 404)),
        ("/schools/2147483647/edit", NOWHERE),
    ],
    "web.school_rename": [("POST /schools/{w.school.id}/name", (302, 400, 403, 404, 403, 403, 404))],
    "web.school_classes": [("POST /schools/{w.school.id}/classes", (302, 400, 400, 404, 403, 403, 404))],
    "web.class_edit": [("/classes/{w.own_class.id}/edit", _FIXES), ("/classes/2147483647/edit", NOWHERE)],
    "web.class_rename": [("POST /classes/{w.own_class.id}/name", (302, 400, 400, 404, 403, 404, 404))],
    "web.class_end": [("POST /classes/2147483647/end", NOWHERE)],  # of one that there is: see test_web_school_editing
    "web.class_restore": [("POST /classes/2147483647/restore", NOWHERE)],
    "web.school_class": [
        ("/classes/{w.own_class.id}", _OWN),
        ("/classes/{w.next_class.id}", (302, 200, 200, 404, 404, 200, 404)),
        ("/classes/2147483647", NOWHERE),
    ],
    "web.search": [("/search", SIGNED_IN), ("/search?q=prøve+x", SIGNED_IN)],
}
