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
    ("tablet", _SERIAL, "", "admin"),
    ("lessons", {}, "", "admin"),
    ("lessons", {}, "", "teacher"),
    ("lesson_start", _CLASS, "", "teacher"),
    ("lesson", _LESSON, "", "teacher"),
    ("lesson_calibration", {}, "", "admin"),
)

# Answers to GET that are no pages: files, redirects, and what nobody who is signed in sees.
NOT_PAGES = {"static_file", "sign_in", "enrol", "choose_password"}
