"""The demo's municipality: four schools, made-up pupils, a delivery list. Files as a real municipality would have them.

Names of pupils and teachers are obviously made up; the schools' names are real ones of the same town, so that the
pages look like what they will show.
"""

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path


@dataclass(frozen=True)
class DemoSchool:
    """A school of the demo: its name, its classes and how many pupils each has."""

    name: str
    classes: tuple[str, ...]
    pupils_per_class: int

    @property
    def slug(self) -> str:
        """The school's name as part of ids."""
        return self.name.split()[0].lower().replace("å", "aa")


SCHOOLS = (
    DemoSchool("Kjenn skole", ("8A", "8B", "9A", "9B", "10A"), 22),
    DemoSchool("Rasta skole", ("5A", "6A"), 18),
    DemoSchool("Solheim skole", ("6B", "7A"), 18),
    DemoSchool("Luhr skole", ("4A",), 18),
)
APPS = (  # ids, what people call them, and their numbers in the App Store; what comes with an iPad has none here
    ("com.apple.Pages", "Pages", "361309726"),
    ("com.apple.Numbers", "Numbers", "361304891"),
    ("com.apple.iBooks", "Bøker", "364709193"),
    ("com.apple.calculator", "Kalkulator", ""),
    ("org.geogebra.ios.GraphingCalculator", "GeoGebra grafkalkulator", "1146717204"),
)
CART_SCHOOL = SCHOOLS[3]
CART = "Vogn 1"
MUNICIPALITY = "Demo kommune"


def pupil_id(school: DemoSchool, title: str, number: int) -> str:
    """Return a made-up pupil's id, also the user name."""
    return f"elev-{school.slug}-{title.lower()}-{number:02d}"


def teacher_id(school: DemoSchool, title: str) -> str:
    """Return a class's teacher's id, also the user name."""
    return f"laerer-{school.slug}-{title.lower()}"


def serial(school: DemoSchool, title: str, number: int) -> str:
    """Return the serial of a pupil's tablet."""
    return f"DEMO{school.slug[:3].upper()}{title}{number:02d}"


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]], delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def _school_year(today: date) -> tuple[str, str]:
    first = today.year if today.month >= 8 else today.year - 1
    return f"{first}-08-01", f"{first + 1}-07-31"


def _classes() -> list[tuple[DemoSchool, str, str, str]]:
    """Return (school, class id, title, kind): the basic groups, and a teaching group for each at Kjenn."""
    found = []
    for school in SCHOOLS:
        for title in school.classes:
            found.append((school, f"klasse-{school.slug}-{title.lower()}", title, "homeroom"))
            if school is SCHOOLS[0]:
                found.append((school, f"mat-{school.slug}-{title.lower()}", f"MAT {title}", "scheduled"))
    return found


def _enrolments() -> list[tuple[str, str, str, str]]:
    """Return (class id, school slug, user id, role)."""
    rows = []
    for school, class_id, title, _ in _classes():
        base = title.removeprefix("MAT ")
        rows.append((class_id, school.slug, teacher_id(school, base), "teacher"))
        rows.extend(
            (class_id, school.slug, pupil_id(school, base, number), "student")
            for number in range(1, school.pupils_per_class + 1)
        )
    return rows


def _users() -> list[list[str]]:
    rows = []
    for school in SCHOOLS:
        for title in school.classes:
            teacher = teacher_id(school, title)
            rows.append([teacher, "", "", "true", school.slug, "teacher", teacher, "", "Demolærer", f"For {title}"])
            for number in range(1, school.pupils_per_class + 1):
                name = pupil_id(school, title, number)
                rows.append(
                    [name, "", "", "true", school.slug, "student", name, "", f"Prøve {number:02d}", f"Elevsen {title}"]
                )
    return [[*row, "", "", "", "", "", "", "", ""] for row in rows]


def write_roster(path: Path, today: date) -> None:
    """Write the demo's roster to ``path`` as a OneRoster 1.1 bulk package."""
    starts, ends = _school_year(today)
    head = ["sourcedId", "status", "dateLastModified"]
    kept = ("academicSessions", "classes", "courses", "enrollments", "orgs", "users")
    manifest = [("manifest.version", "1.0"), ("oneroster.version", "1.1"), *((f"file.{name}", "bulk") for name in kept)]
    files = {
        "manifest.csv": _csv(["propertyName", "value"], [*manifest, ("source.systemName", "demo")]),
        "academicSessions.csv": _csv(
            [*head, "title", "type", "startDate", "endDate", "parentSourcedId", "schoolYear"],
            [["aar", "", "", f"Skoleåret {starts[:4]}-{ends[:4]}", "schoolYear", starts, ends, "", ends[:4]]],
        ),
        "orgs.csv": _csv(
            [*head, "name", "type", "identifier", "parentSourcedId"],
            [
                ["kommune", "", "", MUNICIPALITY, "district", "", ""],
                *([school.slug, "", "", school.name, "school", "", "kommune"] for school in SCHOOLS),
            ],
        ),
        "courses.csv": _csv(
            [*head, "schoolYearSourcedId", "title", "courseCode", "grades", "orgSourcedId", "subjects", "subjectCodes"],
            [
                ["mat", "", "", "aar", "Matematikk", "MAT", "", "kommune", "Matematikk", "MAT0015"],
                ["basis", "", "", "aar", "Basisgruppe", "BASIS", "", "kommune", "", ""],
            ],
        ),
        "classes.csv": _csv(
            [
                *(*head, "title", "grades", "courseSourcedId", "classCode", "classType", "location", "schoolSourcedId"),
                *("termSourcedIds", "subjects", "subjectCodes", "periods"),
            ],
            [
                [
                    *(
                        class_id,
                        "",
                        "",
                        title,
                        title.removeprefix("MAT ")[:-1],
                        "mat" if kind == "scheduled" else "basis",
                    ),
                    *(title, kind, "", school.slug, "aar", "", "MAT0015" if kind == "scheduled" else "", ""),
                ]
                for school, class_id, title, kind in _classes()
            ],
        ),
        "enrollments.csv": _csv(
            [*head, "classSourcedId", "schoolSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate"],
            [
                [f"i-{number}", "", "", class_id, school, user, role, "", "", ""]
                for number, (class_id, school, user, role) in enumerate(_enrolments())
            ],
        ),
        "users.csv": _csv(
            [
                *(*head, "enabledUser", "orgSourcedIds", "role", "username", "userIds", "givenName", "familyName"),
                *("middleName", "identifier", "email", "sms", "phone", "agentSourcedIds", "grades", "password"),
            ],
            _users(),
        ),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in files.items():
            package.writestr(name, text)


def write_delivery_list(path: Path) -> None:
    """Write the supplier's delivery list to ``path``: one tablet per pupil, a cart at the smallest school."""
    rows = []
    for school in SCHOOLS:
        for title in school.classes:
            for number in range(1, school.pupils_per_class + 1):
                in_cart = school is CART_SCHOOL
                tag = f"{school.slug[:2].upper()}-{title}-{number:02d}"
                pupil = "" if in_cart else pupil_id(school, title, number)
                place = ["", "", CART] if in_cart else [title, pupil, ""]
                rows.append([serial(school, title, number), "Demo-nettbrett 11", "linux", tag, school.name, *place])
    header = ["Serienummer", "Modell", "Plattform", "Inventarnummer", "Skole", "Klasse", "Elev", "Vogn"]
    path.write_text(_csv(header, rows, delimiter=";"), encoding="utf-8-sig")
