"""Who gets what: jobs and the audit log."""

from tests.doors.policy import ADMIN_ONLY, Routes

_NONE_FOR_ADMIN = (302, 404, 403, 403, 403, 403, 403)

ROUTES: Routes = {
    "web.audit": [
        ("/audit", ADMIN_ONLY),
        ("/audit?q=OWN1&who=x&kind=x&action=tickets.&from=x&until=2026-99-99&before=-1", ADMIN_ONLY),
    ],
    "web.audit_file": [("/audit.csv", ADMIN_ONLY), ("/audit.csv?q=ticket:1", ADMIN_ONLY)],
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
