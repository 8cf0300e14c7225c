"""Whatever somebody writes into an address or a form, a page answers; it is never the server's fault."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask

from fleet.allowance import Allowance
from tests import visiting
from tests.doors.policy import filled, gathered
from tests.extent import on
from tests.visiting import Visitor

pytestmark = on("postgresql")  # the stricter of the two

_WEB = Path(__file__).parents[2] / "fleet" / "web"
_READ = re.compile(r"""(?:args|form|typed|told)(?:\.get(?:list)?)?[\[(]"([\w-]+)"|\bname="([\w-]+)""")
_MARKUP = "\u202e'\"><script>alert(1)</script>"
ODD = {
    "a sign no text can hold": "a\0b",
    "a number no column holds": "9" * 30,
    "a number of no row": "999999999",
    "less than nothing": "-1",
    "the first day": "0001-01-01",
    "an hour before all time": "0001-01-01T00:00+14:00",
    "the last hour": "9999-12-31T23:59",
    "half an escape": "%",
    "a figure that is no digit": "²",
    "many faces": "\N{GRINNING FACE}" * 150,
    "markup": _MARKUP,
    "a school of no row": "s999999999",
    "a place of no row": "class:999999999",
    "a folder above": "../../etc/passwd",
}


def names() -> list[str]:
    """Return every name that a page reads from its address or its form, or that a field of a template has."""
    sources = (*_WEB.glob("*.py"), *(_WEB / "templates").glob("*.html"))
    found = {one or other for path in sources for one, other in _READ.findall(path.read_text())}
    assert {"q", "school_id", "based_on", "before"} <= found
    return sorted(found - {"csrf_token"})


@pytest.mark.parametrize("odd", ODD)
def test_pages_answer_to_anything(app: Flask, odd: str) -> None:
    app.testing = False  # an error is then an answer, as it is in a browser
    world = visiting.build(app)
    added, value, fields = filled(app, world), ODD[odd], names()
    app.extensions["fleet_forms"] = Allowance(10**6, 1, kept=10)
    admin = Visitor(app)
    admin.sign_in("admin")
    token, query = admin.token("/account"), "&".join(f"{name}={quote(value)}" for name in fields)
    faulty = []
    for address in {row[0] for rows in gathered().values() for row in rows}:
        path = address.removeprefix("POST ").format(w=world, **added).partition("?")[0]
        if path == "/sign-out":
            continue
        if address.startswith("POST "):
            answer = admin.post(path, token=token, **dict.fromkeys(fields, value))
        else:
            answer = admin.get(f"{path}?{query}")
        if answer.status_code >= 500 or b"<script>alert" in answer.data:
            faulty.append((address, answer.status_code))
    assert faulty == []


@pytest.mark.parametrize("odd", ODD)
def test_addresses_lead_nowhere_rather_than_to_a_fault(app: Flask, odd: str) -> None:
    app.testing = False
    visiting.build(app)
    admin = Visitor(app)
    admin.sign_in("admin")
    token, faulty = admin.token("/account"), []
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith("web.") or not rule.arguments:
            continue
        path = re.sub(r"<[^>]+>", quote(ODD[odd], safe="").replace("\\", ""), rule.rule)
        answers = (admin.get(path), admin.post(path, token=token))
        faulty += [
            (rule.rule, answer.status_code)
            for answer in answers
            if answer.status_code >= 500 or "<script>alert" in answer.text
        ]
    assert faulty == []
