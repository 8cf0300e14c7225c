"""Files of a small school as a municipality would have them: a OneRoster package and a delivery list."""

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

SCHOOL, CLASS = "Prøveskolen", "8B"


def _csv(rows: Sequence[Sequence[str]], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def write_roster(path: Path, pupils: int = 3) -> None:
    """Write a OneRoster 1.1 bulk package: one school, one class, a teacher, some pupils."""
    head = ["sourcedId", "status", "dateLastModified"]
    kept = ("academicSessions", "classes", "courses", "enrollments", "orgs", "users")
    users = ["laerer1", *(f"elev{number}" for number in range(1, pupils + 1))]
    files = {
        "manifest": [["propertyName", "value"], ["manifest.version", "1.0"], ["oneroster.version", "1.1"],
                     *([f"file.{name}", "bulk"] for name in kept)],
        "academicSessions": [
            [*head, "title", "type", "startDate", "endDate", "parentSourcedId", "schoolYear"],
            ["aar", "", "", "Skoleåret", "schoolYear", "2020-08-01", "2099-07-31", "", "2099"],
        ],
        "orgs": [
            [*head, "name", "type", "identifier", "parentSourcedId"],
            ["kommune", "", "", "Prøve kommune", "district", "", ""],
            ["skole", "", "", SCHOOL, "school", "", "kommune"],
        ],
        "courses": [
            [*head, "schoolYearSourcedId", "title", "courseCode", "grades", "orgSourcedId", "subjects", "subjectCodes"],
            ["basis", "", "", "aar", "Basisgruppe", "BASIS", "", "kommune", "", ""],
        ],
        "classes": [
            [*head, "title", "grades", "courseSourcedId", "classCode", "classType", "location", "schoolSourcedId",
             "termSourcedIds", "subjects", "subjectCodes", "periods"],
            ["klasse", "", "", CLASS, "8", "basis", CLASS, "homeroom", "", "skole", "aar", "", "", ""],
        ],
        "enrollments": [
            [*head, "classSourcedId", "schoolSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate"],
            *([f"i-{user}", "", "", "klasse", "skole", user, "teacher" if user == "laerer1" else "student", "", "", ""]
              for user in users),
        ],
        "users": [
            [*head, "enabledUser", "orgSourcedIds", "role", "username", "userIds", "givenName", "familyName",
             "middleName", "identifier", "email", "sms", "phone", "agentSourcedIds", "grades", "password"],
            *([user, "", "", "true", "skole", "teacher" if user == "laerer1" else "student", user, "", "Prøve", "Prøvesen",
               "", "", "", "", "", "", "", ""] for user in users),
        ],
    }  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, rows in files.items():
            package.writestr(f"{name}.csv", _csv(rows))


def write_delivery_list(path: Path, serials: Sequence[str]) -> None:
    """Write a supplier's list of Linux tablets for the class."""
    rows = [["Serienummer", "Modell", "Plattform", "Skole", "Klasse"]]
    rows += [[serial, "Prøvenettbrett", "linux", SCHOOL, CLASS] for serial in serials]
    path.write_text(_csv(rows, ";"), encoding="utf-8-sig")
