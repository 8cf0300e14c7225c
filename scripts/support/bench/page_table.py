"""Every page there is, as it is measured: endpoint, what its address names, its query, and who asks."""

_SERIAL, _SCHOOL, _CLASS, _LESSON = (
    {"serial": "serial"},
    {"school_id": "school_id"},
    {"class_id": "class_id"},
    {"lesson_id": "lesson_id"},
)

PAGES: tuple[tuple[str, dict[str, str], str, str], ...] = (
    ("overview", {}, "", "admin"),
    ("overview", {}, "", "teacher"),
    ("findings", {}, "", "admin"),
    ("findings", {}, "kind=silent&school_id={school_id}", "admin"),
    ("school", _SCHOOL, "", "admin"),
    ("schools", {}, "", "admin"),
    ("school_class", _CLASS, "", "teacher"),
    ("tablets", {}, "", "admin"),
    ("tablets", {}, "q=elev&size=100", "admin"),
    ("tablets", {}, "sort=class", "admin"),
    ("tablets", {}, "", "teacher"),
    ("tablet", _SERIAL, "", "admin"),
    ("tablet_why", _SERIAL, "class={class_id}&ended=yes", "admin"),
    ("tablet_timeline", _SERIAL, "", "admin"),
    ("tablet_orders", _SERIAL, "", "admin"),
    ("tablet_edit", _SERIAL, "class={class_id}", "admin"),
    ("tablet_action", {"name": "action"}, "id=1&id=2", "admin"),
    ("search", {}, "q=prøve+benk", "admin"),
    ("search", {}, "q=001", "teacher"),
    ("orders", {}, "", "admin"),
    ("lessons", {}, "", "admin"),
    ("lessons", {}, "", "teacher"),
    ("lesson_start", _CLASS, "", "teacher"),
    ("lesson", _LESSON, "", "teacher"),
    ("lesson_calibration", {}, "", "admin"),
)

# Answers to GET that are no pages: files, redirects, and what nobody who is signed in sees.
NOT_PAGES = {"tablets_file", "static_file", "sign_in", "enrol", "choose_password"}
