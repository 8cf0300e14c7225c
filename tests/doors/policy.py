"""Who gets what: the tables of all areas together, one file `routes_<area>.py` for each.

A file has ``ROUTES``: for each view rows of address and the statuses for a stranger and for each of ``visiting.ROLES``.
A status is the whole answer to "may I see that there is such a thing": others' schools and tablets do not exist (404,
not 403). Addresses name what is in the visited municipality (``{w.school.id}``) and, where the file has
``fill(world)``, what that adds to it (a dictionary; ``{ticket_id}``). An address that begins with ``POST `` is a form.
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from flask import Flask

from fleet.db import db, transaction
from tests import visiting
from tests.visiting import World

Statuses = tuple[int, int, int, int, int, int, int]
Routes = dict[str, list[tuple[str, Statuses]]]

ROLES = ("stranger", *visiting.ROLES)
ANYONE: Statuses = (200, 200, 200, 200, 200, 200, 200)
SIGNED_IN: Statuses = (302, 200, 200, 200, 200, 200, 200)
NOWHERE: Statuses = (302, 404, 404, 404, 404, 404, 404)
ADMIN_ONLY: Statuses = (302, 200, 403, 403, 403, 403, 403)


def areas() -> list[ModuleType]:
    """Return the areas' files."""
    return [
        importlib.import_module(f"tests.doors.{path.stem}")
        for path in sorted(Path(__file__).parent.glob("routes_*.py"))
    ]


def gathered() -> Routes:
    """Return the rows of all areas; a view stands in one of them."""
    found: Routes = {}
    for area in areas():
        routes: Routes = area.ROUTES
        assert not set(routes) & set(found), f"{area.__name__} repeats {set(routes) & set(found)}"
        found |= routes
    return found


def filled(app: Flask, world: World) -> dict[str, Any]:
    """Have the areas add what their addresses name; returns it by name."""
    found: dict[str, Any] = {}
    with app.app_context(), transaction():
        inside = World(**{name: db.session.merge(row) for name, row in vars(world).items()})
        for area in areas():
            if hasattr(area, "fill"):
                found |= area.fill(inside)
    return found
