"""Who gets what: one's own account, people, and settings."""

from tests.doors.policy import ADMIN_ONLY, NOWHERE, SIGNED_IN, Routes

_BAD_FOR_ADMIN = (302, 400, 403, 403, 403, 403, 403)
_NONE_FOR_ADMIN = (302, 404, 403, 403, 403, 403, 403)
_AT_OWN_SCHOOL = (302, 200, 200, 404, 403, 403, 404)
_BAD_AT_OWN_SCHOOL = (302, 400, 400, 404, 403, 403, 404)

ROUTES: Routes = {
    "web.account": [("/account", SIGNED_IN)],
    "web.account_looks": [("POST /account/looks", (302, 303, 303, 303, 303, 303, 303))],
    "web.account_password": [("POST /account/password", (302, 400, 400, 400, 400, 400, 400))],
    "web.account_sign_out_elsewhere": [("POST /account/sign-out-elsewhere", (302, 303, 303, 303, 303, 303, 303))],
    "web.people": [("/people", ADMIN_ONLY), ("/people?q=x&role=teacher&school_id=1&page=9", ADMIN_ONLY)],
    "web.people_roles": [("/people/roles", ADMIN_ONLY)],
    "web.person_new": [("/people/new", ADMIN_ONLY)],
    "web.person_create": [("POST /people/new", _BAD_FOR_ADMIN)],
    "web.person": [("/people/teacher", ADMIN_ONLY), ("/people/nobody-known", _NONE_FOR_ADMIN)],
    "web.person_grant": [("POST /people/teacher/roles", _BAD_FOR_ADMIN)],
    "web.person_revoke": [("POST /people/teacher/roles/revoke", _BAD_FOR_ADMIN)],
    "web.person_close": [("POST /people/nobody-known/close", _NONE_FOR_ADMIN)],
    "web.person_open": [("POST /people/nobody-known/open", _NONE_FOR_ADMIN)],
    "web.person_link": [("POST /people/nobody-known/link", _NONE_FOR_ADMIN)],
    "web.settings": [("/settings", (302, 200, 200, 200, 403, 403, 403))],
    "web.settings_municipality": [("POST /settings/municipality", _BAD_FOR_ADMIN)],
    "web.settings_undo": [("POST /settings/undo/unknown", (302, 303, 303, 303, 403, 403, 403))],
    "web.school_settings": [
        ("/settings/calendar", ADMIN_ONLY),
        ("/settings/schools/{w.school.id}", _AT_OWN_SCHOOL),
        ("/settings/schools/{w.other_school.id}?year=2027&first=2027-10-05", (302, 200, 404, 200, 404, 404, 404)),
        ("/settings/schools/2147483647", NOWHERE),
    ],
    "web.settings_days": [
        ("POST /settings/calendar/days", _BAD_FOR_ADMIN),
        ("POST /settings/schools/{w.school.id}/days", _BAD_AT_OWN_SCHOOL),
    ],
    "web.settings_import": [
        ("POST /settings/calendar/import", _BAD_FOR_ADMIN),
        ("POST /settings/schools/{w.school.id}/import", _BAD_AT_OWN_SCHOOL),
    ],
    "web.settings_import_look": [("/settings/calendar/import/unknown", _NONE_FOR_ADMIN)],
    "web.settings_import_use": [("POST /settings/calendar/import/unknown", _NONE_FOR_ADMIN)],
    "web.settings_times": [
        ("/settings/calendar/times", ADMIN_ONLY),
        ("/settings/schools/{w.school.id}/times?day=2", _AT_OWN_SCHOOL),
    ],
    "web.settings_hours": [
        ("POST /settings/calendar/times/hours", (302, 303, 403, 403, 403, 403, 403)),
        ("POST /settings/schools/{w.school.id}/times/hours", (302, 303, 303, 404, 403, 403, 404)),
    ],
    "web.settings_bells": [
        ("POST /settings/calendar/times/bells", _BAD_FOR_ADMIN),
        ("POST /settings/schools/{w.school.id}/times/bells", _BAD_AT_OWN_SCHOOL),
    ],
    "web.settings_bells_forget": [
        ("POST /settings/calendar/times/bells/forget", (302, 303, 403, 403, 403, 403, 403)),
        ("POST /settings/schools/{w.school.id}/times/bells/forget", (302, 303, 303, 404, 403, 403, 404)),
    ],
    "web.settings_after_school": [("/settings/schools/{w.school.id}/after-school", _AT_OWN_SCHOOL)],
    "web.settings_after_school_save": [
        ("POST /settings/schools/{w.school.id}/after-school", _BAD_AT_OWN_SCHOOL),
        ("POST /settings/schools/2147483647/after-school", NOWHERE),
    ],
    "web.settings_lessons": [("/settings/schools/{w.school.id}/lessons", _AT_OWN_SCHOOL)],
    "web.settings_networks": [
        ("POST /settings/schools/{w.school.id}/lessons/networks", (302, 303, 303, 404, 403, 403, 404))
    ],
    "web.settings_longest": [("POST /settings/schools/{w.school.id}/lessons/longest", _BAD_AT_OWN_SCHOOL)],
}
