"""Who gets what: the list of tablets, what is done with them, and orders."""

from tests.doors.policy import NOWHERE, SIGNED_IN, Routes, Statuses

# Who looks after tablets anywhere gets the page, whatever the tablets; who does not is told so.
_ACTS: Statuses = (302, 200, 200, 200, 403, 403, 403)
_DOES: Statuses = (302, 303, 303, 303, 403, 403, 403)

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
    "web.tablet_action_undo": [("POST /tablet-actions/undo/0123", NOWHERE)],
    "web.orders": [("/orders", _ACTS), ("/orders?state=open&kind=ring&school={w.other_school.id}", _ACTS)],
    "web.orders_withdraw": [("POST /orders/together/0123/withdraw", NOWHERE)],
    "web.order_approve": [("POST /orders/2147483647/approve", NOWHERE)],
    "web.order_decline": [("POST /orders/2147483647/decline", NOWHERE)],
    "web.order_withdraw": [("POST /orders/2147483647/withdraw", NOWHERE)],
}
