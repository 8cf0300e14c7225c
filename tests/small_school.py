"""A small school as a municipality would have it: its OneRoster package, its delivery list, its profiles."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import rosters
from tests.serving import Server

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


def publish(server: Server, folder: Path, name: str, **areas: dict[str, Any]) -> None:
    """Publish a profile's next version through the command line."""
    text = [f'name = "{name}"', f'title = "{name}"']
    for area, settings in areas.items():
        text += [f"[{area}]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    (folder / f"{name}.toml").write_text("\n".join(text))
    server.fleet("profiles", "import", str(folder / f"{name}.toml"), "--publish")


def shown(server: Server, serial: str) -> dict[str, Any]:
    """Return what the command line shows of a tablet."""
    return dict(json.loads(server.fleet("devices", "show", serial, "--json")))
