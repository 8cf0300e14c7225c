"""Who gets what: lessons."""

from tests.doors.policy import NOWHERE, SIGNED_IN, Routes

ROUTES: Routes = {
    "web.lessons": [("/lessons", SIGNED_IN)],
    "web.lesson_start": [
        ("/classes/{w.own_class.id}/lesson", (302, 200, 200, 404, 200, 404, 404)),
        ("/classes/{w.next_class.id}/lesson", (302, 200, 200, 404, 404, 200, 404)),
        ("/classes/2147483647/lesson", NOWHERE),
    ],
    "web.lesson": [("/lessons/2147483647", NOWHERE)],  # of one that there is: see test_web_lessons
    "web.lesson_calibration": [("/lessons/calibration", (302, 200, 200, 200, 403, 403, 403))],
    "web.lesson_start_now": [("POST /classes/2147483647/lesson", NOWHERE)],
    "web.lesson_end": [("POST /lessons/2147483647/end", NOWHERE)],
    "web.lesson_set": [("POST /lessons/2147483647/set", NOWHERE)],
    "web.lesson_hand_over": [("POST /lessons/2147483647/hand-over", NOWHERE)],
    "web.lesson_message": [("POST /lessons/2147483647/message", NOWHERE)],
    "web.lesson_extend": [("POST /lessons/2147483647/extend", (302, 400, 400, 400, 400, 400, 400))],
    "web.lesson_tablets": [("POST /lessons/2147483647/tablets", (302, 400, 400, 400, 400, 400, 400))],
}
