"""Who gets what: one's own account, people, and settings."""

from tests.doors.policy import ADMIN_ONLY, SIGNED_IN, Routes

_BAD_FOR_ADMIN = (302, 400, 403, 403, 403, 403, 403)
_NONE_FOR_ADMIN = (302, 404, 403, 403, 403, 403, 403)

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
}
