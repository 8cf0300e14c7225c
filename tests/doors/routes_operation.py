"""Who gets what: jobs and the audit log."""

from tests.doors.policy import ADMIN_ONLY, Routes

_NONE_FOR_ADMIN = (302, 404, 403, 403, 403, 403, 403)

ROUTES: Routes = {
    "web.jobs": [("/jobs", ADMIN_ONLY)],
    "web.job": [
        ("/jobs/retention", ADMIN_ONLY),
        ("/jobs/retention?only=trouble&before=x", ADMIN_ONLY),
        ("/jobs/unknown", _NONE_FOR_ADMIN),
    ],
    "web.job_run": [
        ("POST /jobs/retention/run", (302, 303, 403, 403, 403, 403, 403)),
        ("POST /jobs/unknown/run", _NONE_FOR_ADMIN),
    ],
}
