"""Who gets what: the overview, signing in and out, files, and what anybody may ask for."""

from tests.doors.policy import ANYONE, SIGNED_IN, Routes

ROUTES: Routes = {
    "web.overview": [("/", SIGNED_IN)],
    "web.enrol": [("/enrol", ANYONE)],
    "web.sign_in": [("/sign-in", (200, 302, 302, 302, 302, 302, 302))],
    "web.choose_password": [("/password/unknown", (404, 404, 404, 404, 404, 404, 404))],
    "web.static_file": [
        ("/static/0/fleet.css", ANYONE),
        ("/static/0/../register.py", (404, 404, 404, 404, 404, 404, 404)),
    ],
    # Forms; the token is the visitor's own. What they do is tested with the sign-in.
    "web.sign_in_now": [("POST /sign-in", (401, 401, 401, 401, 401, 401, 401))],
    "web.sign_out": [("POST /sign-out", (303, 303, 303, 303, 303, 303, 303))],
    "web.choose_language": [("POST /language", (302, 302, 302, 302, 302, 302, 302))],
    "web.choose_password_now": [("POST /password/unknown", (404, 404, 404, 404, 404, 404, 404))],
}
