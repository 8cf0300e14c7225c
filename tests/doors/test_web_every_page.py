"""What holds for every page in the policy's tables: one heading, a title, a language, labels, tokens, and its size."""

from html.parser import HTMLParser

import pytest
from flask import Flask

from tests import visiting
from tests.doors.policy import ROLES, filled, gathered
from tests.visiting import Visitor

_MOST_BYTES = 150_000
_UNLABELLED = {"hidden", "submit", "button"}


class Page(HTMLParser):
    """Collects what a page must have."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.headings = 0
        self.title = ""
        self.language: str | None = None
        self.labels: set[str] = set()
        self.ids: list[str] = []
        self.fields: list[dict[str, str | None]] = []
        self.forms: list[list[str | None]] = []  # the names of the fields of each form that changes something
        self._inside: list[str] = []
        self._form: list[str | None] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self._inside.append(tag)
        if told.get("id"):
            self.ids.append(str(told["id"]))
        if tag == "html":
            self.language = told.get("lang")
        self.headings += tag == "h1"
        if tag == "label" and told.get("for"):
            self.labels.add(str(told["for"]))
        if tag == "form":
            # The tablets' door knows no sessions, so there is nobody whom a forged form could harm.
            is_ours = (told.get("method") or "").lower() == "post" and not (told.get("action") or "").startswith(
                "/apple/"
            )
            self._form = [] if is_ours else None
            self.forms.extend([self._form] if self._form is not None else [])
        if tag in {"input", "select", "textarea"}:
            if self._form is not None:
                self._form.append(told.get("name"))
            is_inside_label = "label" in self._inside
            if told.get("type") not in _UNLABELLED and "hidden" not in told and not is_inside_label:
                self.fields.append(told)
            if tag == "input":
                self._inside.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._inside[-1:] == ["title"]:
            self.title += data

    def faults(self) -> list[str]:
        """Return what is missing."""
        unlabelled = [
            str(field)
            for field in self.fields
            if field.get("id") not in self.labels and not {"aria-label", "aria-labelledby"} & field.keys()
        ]
        said = self.title.rpartition("\N{EN DASH}")[0].strip()
        return [
            *([] if self.headings == 1 else [f"{self.headings} first headings"]),
            *([] if said else ["no title"]),
            *([] if self.language == "nb" else [f"language {self.language}"]),
            *(f"no label: {field}" for field in unlabelled),
            *("a form without a token" for form in self.forms if "csrf_token" not in form),
            *(f"twice the id {one}" for one in sorted({one for one in self.ids if self.ids.count(one) > 1})),
        ]


@pytest.mark.parametrize("role", ["admin", "it", "teacher", "stranger"])
def test_every_page_has_what_every_page_must_have(app: Flask, role: str) -> None:
    world = visiting.build(app)
    added = filled(app, world)
    visitor = Visitor(app)
    if role != "stranger":
        visitor.sign_in(role)
    found = {}
    for rows in gathered().values():
        for address, statuses in rows:
            if address.startswith("POST ") or statuses[ROLES.index(role)] in {302, 303}:
                continue
            path = address.format(w=world, **added)
            answer = visitor.get(path)
            if answer.mimetype != "text/html":
                continue
            faults = Page(answer.text).faults()
            if len(answer.data) > _MOST_BYTES:
                faults.append(f"{len(answer.data)} bytes")
            if faults:
                found[path] = faults
    assert found == {}


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("<html lang=nb><title>A \u2013 N</title><h1>A</h1><h1>B</h1>", "2 first headings"),
        ("<html lang=nb><title> \u2013 N</title><h1>A</h1>", "no title"),
        ("<html><title>A \u2013 N</title><h1>A</h1>", "language None"),
        ("<html lang=nb><title>A \u2013 N</title><h1>A</h1><input id=a><label for=b></label>", "no label"),
        ("<html lang=nb><title>A \u2013 N</title><h1>A</h1><form method=post></form>", "a form without a token"),
        ("<html lang=nb><title>A \u2013 N</title><h1 id=a>A</h1><p id=a>", "twice the id a"),
    ],
)  # fmt: skip
def test_what_a_page_lacks_is_found(page: str, fault: str) -> None:
    assert [fault in one for one in Page(page).faults()] == [True]
