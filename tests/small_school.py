"""Files of a small school as a municipality would have them: a OneRoster package and a delivery list."""

from collections.abc import Sequence
from pathlib import Path

from tests import rosters

SCHOOL, CLASS = "Prøveskolen", "8B"


def write_roster(path: Path, pupils: int = 3) -> None:
    """Write a OneRoster 1.1 bulk package: one school, one class, a teacher, some pupils; its year holds whenever."""
    files = rosters.one_roster(classes=1, pupils=pupils)
    files["orgs"][1]["name"], files["classes"][0]["title"] = SCHOOL, CLASS
    files["academicSessions"][0] |= {"startDate": "2020-08-01", "endDate": "2099-07-31"}
    rosters.zipped(path, files)


def write_delivery_list(path: Path, serials: Sequence[str]) -> None:
    """Write a supplier's list of Linux tablets for the class."""
    head = {"Serienummer": "", "Modell": "Prøvenettbrett", "Plattform": "linux", "Skole": SCHOOL, "Klasse": CLASS}
    rows = [{**head, "Serienummer": serial} for serial in serials]
    path.write_bytes(rosters.encoded({"levering": rows}, delimiter=";", start="\ufeff")["levering.csv"])
