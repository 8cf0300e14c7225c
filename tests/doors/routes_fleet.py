"""Who gets what: schools, tablets and findings."""

from tests.doors.policy import NOWHERE, SIGNED_IN, Routes

ROUTES: Routes = {
    "web.school": [
        ("/schools/{w.school.id}", (302, 200, 200, 404, 200, 200, 404)),
        ("/schools/{w.other_school.id}", (302, 200, 404, 200, 404, 404, 404)),
        ("/schools/2147483647", NOWHERE),
    ],
    "web.tablet": [
        ("/tablets/{w.tablet.serial}", (302, 200, 200, 404, 200, 404, 404)),
        ("/tablets/{w.tablet.asset_tag}", (302, 200, 200, 404, 200, 404, 404)),
        ("/tablets/{w.next_tablet.serial}", (302, 200, 200, 404, 404, 200, 404)),
        ("/tablets/{w.other_tablet.serial}", (302, 200, 404, 200, 404, 404, 404)),
        ("/tablets/NONE", NOWHERE),
    ],
    "web.findings": [
        ("/findings", SIGNED_IN),
        ("/findings?school_id={w.other_school.id}&kind=app-blocked&page=2", SIGNED_IN),  # what is shown: tested there
    ],
}
