"""Tickets: what may be made, by whom, how they end, and the sheet that is printed."""

import io
import re
import zlib
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from pypdf import PdfReader
from sqlalchemy import select

from fleet.access import Grant, Principal, Role
from fleet.crypto import CODE_ALPHABET, token_digest
from fleet.db import db, transaction
from fleet.devices import arrivals, codes, sheet, tickets, typeface
from fleet.devices.models import DeviceLife, Ticket
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.schools.models import School, SchoolClass
from tests import factories, rosters
from tests.conftest import NOW

CLI = Principal.command_line()
WEEK = timedelta(days=7)
OSLO = ZoneInfo("Europe/Oslo")


def make(place: tickets.Place, **changes: Any) -> tuple[Ticket, str]:
    wanted: dict[str, Any] = {"expires_at": NOW + WEEK, "max_enrolments": 3, "by": CLI, "now": NOW} | changes
    return tickets.create(place, **wanted)


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school("Kjenn skole")


def test_a_code_is_stored_as_its_digest_only(school: School) -> None:
    with transaction():
        ticket, code = make(tickets.Place(school, factories.school_class(school)))
        number = ticket.id
    stored = db.session.get_one(Ticket, number)
    assert (stored.code_digest, stored.code_tail) == (token_digest(code), code[-4:])
    assert code not in repr(rosters.dump(without=set()))
    assert tickets.find(code) is stored
    assert tickets.find(codes.make()) is None
    line = factories.audited(1)[0]
    assert (line.action, line.subject) == ("tickets.created", f"ticket:{number}")
    assert (line.fields["max_enrolments"], line.fields["school_id"]) == (3, school.id)


def test_a_wish_that_comes_again_makes_no_second_ticket(school: School) -> None:
    place = tickets.Place(school)
    with transaction():
        first = make(place, request_id="wish-0001")[0].id
    with pytest.raises(tickets.MadeAlreadyError) as again, transaction():
        make(place, request_id="wish-0001")
    assert again.value.data["ticket_id"] == first
    other = Principal("account", "9", grants=(Grant(Role.SCHOOL_IT, school.id),))
    with transaction():  # of another person, or another wish, it is another ticket
        numbers = {
            first,
            make(place, request_id="wish-0001", by=other)[0].id,
            make(place, request_id="wish-0002")[0].id,
        }
    assert len(numbers) == 3


def test_codes_are_letters_and_digits_in_groups_and_never_twice() -> None:
    made = [codes.make() for _ in range(500)]
    assert len(set(made)) == 500
    assert all(len(code) == 28 and set(code) <= set(CODE_ALPHABET) for code in made)
    assert re.fullmatch(r"([0-9A-Z]{4}-){6}[0-9A-Z]{4}", codes.shown(made[0]))


def test_a_code_is_read_as_it_was_meant() -> None:
    code = codes.make()
    assert codes.normalise(f"  {codes.shown(code).lower()} \n") == code
    for written, meant in (("O", "0"), ("I", "1"), ("l", "1")):
        for _ in range(200):
            other = codes.make()
            if meant in other:
                assert codes.normalise(other.replace(meant, written)) == other
                break
        else:
            pytest.fail(f"no code with {meant}")


def test_each_wrong_character_and_each_swap_of_neighbours_is_noticed() -> None:
    code = codes.make()
    for place in range(len(code)):
        for other in set(CODE_ALPHABET) - {code[place]}:
            with pytest.raises(codes.TicketCodeError) as wrong:
                codes.normalise(code[:place] + other + code[place + 1 :])
            assert wrong.value.data["reason"] == "check"
    for place in range(len(code) - 2):
        if code[place] != code[place + 1]:
            with pytest.raises(codes.TicketCodeError):
                codes.normalise(code[:place] + code[place + 1] + code[place] + code[place + 2 :])


@pytest.mark.parametrize(
    ("typed", "reason"),
    [("", "length"), ("ABCD", "length"), ("A" * 29, "length"), ("U" * 28, "check"), ("Å" * 28, "check")],
)
def test_what_can_be_no_code_is_told_why(typed: str, reason: str) -> None:
    with pytest.raises(codes.TicketCodeError) as wrong:
        codes.normalise(typed)
    assert wrong.value.data["reason"] == reason
    assert wrong.value.code == "ticket-mistyped"


def test_without_a_number_a_ticket_takes_as_many_as_are_expected_there(school: School) -> None:
    with transaction():
        here, there = factories.school_class(school, "8A"), factories.school_class(school, "8B")
        for _ in range(2):
            factories.device(school, life=DeviceLife.EXPECTED, class_id=here.id)
        for _ in range(3):
            factories.device(school, life=DeviceLife.EXPECTED, cart="Vogn 1")
        factories.device(school, class_id=there.id)
        factories.device(factories.school("Rasta skole"), life=DeviceLife.EXPECTED)
        found = [
            make(place, max_enrolments=None)[0].max_enrolments
            for place in (tickets.Place(school), tickets.Place(school, here), tickets.Place(school, cart=" Vogn 1 "))
        ]
        assert found == [5, 2, 3]
        with pytest.raises(InvalidError) as refused:
            make(tickets.Place(school, there), max_enrolments=None)
        assert "say how many" in refused.value.data["expected"]


def test_a_class_expects_its_own_tablets_and_its_pupils_own(school: School) -> None:
    with transaction():
        klass = factories.school_class(school)
        of_class, elsewhere = factories.pupil(school), factories.pupil(school)
        gone = factories.pupil(school)
        factories.membership(of_class, klass)
        factories.membership(gone, klass, ends_on=NOW.date() - timedelta(days=1))
        for serial, more in (
            ("SET", {"class_id": klass.id}), ("OWN", {"person": of_class}), ("ELSE", {"person": elsewhere}),
            ("GONE", {"person": gone}),
        ):  # fmt: skip
            factories.device(school, serial=serial, life=DeviceLife.EXPECTED, listed_at=NOW, **more)
        by = Principal("account", "9", grants=(Grant(Role.SCHOOL_IT, school.id),), today=NOW.date())
        ticket = make(tickets.Place(school, klass), max_enrolments=None, by=by)[0]
    assert ticket.max_enrolments == tickets.expected_at(tickets.Place(school, klass), by=by) == 2
    assert [one.serial for one in arrivals.expected(ticket, by=by)] == ["OWN", "SET"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_enrolments": 0}, "number"),
        ({"max_enrolments": -1}, "number"),
        ({"max_enrolments": 5001}, "number"),
        ({"expires_at": NOW}, "expiry"),
        ({"expires_at": NOW - WEEK}, "expiry"),
        ({"expires_at": NOW + timedelta(days=367)}, "expiry"),
    ],
)
def test_numbers_and_times_out_of_range_are_refused(school: School, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidError) as refused, transaction():
        make(tickets.Place(school), **changes)
    assert refused.value.data["reason"] == reason
    assert db.session.scalars(select(Ticket)).all() == []


def test_a_place_must_make_sense(school: School) -> None:
    with transaction():
        foreign = factories.school_class(factories.school("Rasta skole"))
        own = factories.school_class(school)
        for place, reason in (
            (tickets.Place(school, foreign), "the class is of another school"),
            (tickets.Place(school, own, "Vogn 1"), "a class or a cart, not both"),
            (tickets.Place(school, cart="x" * 65), "name"),
            (tickets.Place(school, cart="a\nb"), "name"),
        ):
            with pytest.raises(InvalidError) as refused:
                make(place)
            assert refused.value.data["reason"] == reason
        assert make(tickets.Place(school, cart="  "))[0].cart is None
        assert make(tickets.Place(school, cart=" Vogn 1 "))[0].cart == "Vogn 1"


def test_a_ticket_is_open_until_it_ends_in_one_of_three_ways(school: School) -> None:
    with transaction():
        ticket, _ = make(tickets.Place(school), max_enrolments=1)
        assert tickets.state(ticket, NOW) == "open"
        assert tickets.state(ticket, NOW + WEEK) == "expired"
        assert tickets.burn(ticket, NOW) is True
        db.session.refresh(ticket)
        assert tickets.state(ticket, NOW) == "exhausted"
        assert tickets.burn(ticket, NOW) is False
        tickets.revoke(ticket.id, by=CLI, now=NOW)
        assert tickets.state(ticket, NOW) == "revoked"
        other, _ = make(tickets.Place(school))
        assert tickets.burn(other, NOW + WEEK) is False
        tickets.revoke(other.id, by=CLI, now=NOW)
        assert tickets.burn(other, NOW) is False
    assert [line.action for line in factories.audited(3)] == ["tickets.revoked", "tickets.created", "tickets.revoked"]


def test_a_ticket_is_revoked_once(school: School) -> None:
    with transaction():
        ticket, _ = make(tickets.Place(school))
        tickets.revoke(ticket.id, by=CLI, now=NOW)
        with pytest.raises(ConflictError):
            tickets.revoke(ticket.id, by=CLI, now=NOW)
        with pytest.raises(NotFoundError):
            tickets.revoke(9_999, by=CLI, now=NOW)


def test_school_it_has_its_own_schools_tickets_and_a_teacher_none(school: School) -> None:
    it = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, school.id),))
    with transaction():
        klass = factories.school_class(school)
        other = factories.school("Rasta skole")
        teacher = Principal(
            "account", "2", grants=(Grant(Role.TEACHER, school.id),), own_class_ids=frozenset({klass.id})
        )
        own, _ = make(tickets.Place(school), by=it)
        foreign, _ = make(tickets.Place(other))
        for by, place in ((it, tickets.Place(other)), (teacher, tickets.Place(school, klass))):
            with pytest.raises(ForbiddenError):
                make(place, by=by)
        assert [ticket.id for ticket in tickets.listed(by=it)] == [own.id]
        assert [ticket.id for ticket in tickets.listed(by=CLI)] == [foreign.id, own.id]
        assert tickets.listed(by=teacher) == []
        assert tickets.get(own.id, by=it) is own
        for by, ticket in ((it, foreign), (teacher, own)):
            with pytest.raises(NotFoundError):
                tickets.get(ticket.id, by=by)
            with pytest.raises(NotFoundError):
                tickets.revoke(ticket.id, by=by, now=NOW)
        assert [one.id for one in tickets.expiring(WEEK, by=it, now=NOW)] == [own.id]
        assert [one.id for one in tickets.expiring(WEEK, by=CLI, now=NOW)] == [own.id, foreign.id]
        assert tickets.expiring(by=CLI, now=NOW) == []


def test_listing_is_one_statement(school: School, statements: list[str]) -> None:
    with transaction():
        for number in range(5):
            place = tickets.Place(factories.school(f"Skole {number}"))
            make(tickets.Place(place.school, factories.school_class(place.school)))
    statements.clear()
    rows = [tickets.plain(ticket, NOW) for ticket in tickets.listed(by=CLI)]
    assert len(statements) == 1
    assert [row["school"] for row in rows] == [f"Skole {number}" for number in (4, 3, 2, 1, 0)]
    assert rows[0]["class"] == "8B"
    assert re.fullmatch(r"…[0-9A-Z]{4}", rows[0]["code"])


# -- the sheet -------------------------------------------------------------------------------------------------------


def printed(ticket: Ticket, code: str) -> tuple[bytes, str]:
    """Return the PDF and the text in it."""
    content = sheet.make(ticket, code, public_url="https://brett.example.test", timezone=OSLO)
    return content, text_of(content)


def text_of(content: bytes) -> str:
    """Return the words of a PDF, lines joined."""
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
    return " ".join("\n".join(pages).split())


def ticket_for(school: School, school_class: SchoolClass | None = None, cart: str | None = None) -> tuple[Ticket, str]:
    with transaction():
        return make(tickets.Place(school, school_class, cart), max_enrolments=1 if cart else 24)


def test_the_sheet_is_one_a4_page_with_code_place_steps_and_expiry_in_local_time(school: School) -> None:
    with transaction():
        klass = factories.school_class(school, "8B")
    ticket, code = ticket_for(school, klass)
    content, text = printed(ticket, code)
    assert content.startswith(b"%PDF-1.")
    assert content.rstrip().endswith(b"%%EOF")
    assert content.count(b"/Type /Page\n") == 1
    assert re.search(rb"/MediaBox \[0 0 595\.\d+ 841\.\d+\]", content)
    for told in (
        "Kjenn skole", "8B", codes.shown(code), "https://brett.example.test", "24 nettbrett",
        "21. september 2026 kl. 10.15", "Slå på nettbrettet", "4.", f"Billett {ticket.id}.",
    ):  # fmt: skip
        assert told in text, told


def test_the_qr_code_is_large_sharp_and_says_where_and_what(school: School) -> None:
    ticket, code = ticket_for(school, cart="Vogn 1")
    content, text = printed(ticket, code)
    assert "Vogn 1" in text
    assert "ett nettbrett" in text
    assert sheet.payload("https://brett.example.test", code) == f"https://brett.example.test/enrol#{codes.shown(code)}"
    width = re.search(rb"/Subtype /Image.*?/Width (\d+)|/Width (\d+).*?/Subtype /Image", content, re.DOTALL)
    assert width is not None
    assert int(width[1] or width[2]) >= 12 * 33
    placed = re.search(rb"([\d.]+) 0 0 ([\d.]+) [\d.]+ [\d.]+ cm /I1 Do", zlib_text(content))
    assert placed is not None
    assert float(placed[1]) == float(placed[2])
    assert float(placed[1]) / 72 * 25.4 >= 90  # millimetres


def zlib_text(content: bytes) -> bytes:
    """Return what the PDF's streams hold. Cut by their length: compressed bytes may end in what looks like a line's end."""
    found = re.finditer(rb"/Length (\d+)[^>]*>>\s*stream\r?\n", content)
    streams = [content[one.end() : one.end() + int(one[1])] for one in found]
    return b"\n".join(zlib.decompress(one) for one in streams if one[:1] == b"x")


@pytest.mark.parametrize("name", ["W" * 120, "Skole " * 20, "Ei skole med et ganske langt navn på førti og noe tegn"])
def test_the_longest_names_leave_room_for_the_last_step(school: School, name: str) -> None:
    with transaction():
        long = factories.school(name.strip())
        klass = factories.school_class(long, name.strip())
    ticket, code = ticket_for(long, klass)
    content, _ = printed(ticket, code)
    assert content.count(b"/Type /Page\n") == 1
    heights = [float(found) for found in re.findall(rb"[\d.]+ ([\d.]+) Td", zlib_text(content))]
    foot, *steps = sorted(heights)
    assert foot > 20  # points from the paper's edge
    assert steps[0] > foot + 10


@pytest.mark.parametrize("name", ["Kjenn skole", "W" * 120, "Skole " * 20])
def test_android_tablets_have_a_page_of_their_own_with_a_larger_code(school: School, name: str) -> None:
    with transaction():
        long = factories.school(name.strip())
        klass = factories.school_class(long, name.strip())
    ticket, code = ticket_for(long, klass)
    url = "https://brett.example.test"
    content = sheet.make(ticket, code, public_url=url, timezone=OSLO, android="{" + "x" * 700 + "}")
    assert content.count(b"/Type /Page\n") == 2
    assert "Trykk seks ganger" in text_of(content)
    assert "ikke Android" in text_of(content)
    assert "ikke Android" not in text_of(sheet.make(ticket, code, public_url=url, timezone=OSLO))
    pages = [page.get_contents() for page in PdfReader(io.BytesIO(content)).pages]
    drawn = [page.get_data() for page in pages if page is not None]
    looks = [re.findall(rb"Td ([\d. ]+) rg", one) for one in drawn]
    grey = looks[0][0]  # the title's; besides it are when it ends, what each field is, and the foot
    assert [page.count(grey) for page in looks] == [5, 3], "the first step is as black as the others"
    said = zlib_text(content)
    sizes = [float(one) / 72 * 25.4 for one in re.findall(rb"([\d.]+) 0 0 [\d.]+ [\d.]+ [\d.]+ cm /I\d Do", said)]
    assert sizes == pytest.approx([96, 130], abs=0.1)
    heights = [float(found) for found in re.findall(rb"[\d.]+ ([\d.]+) Td", drawn[1])]
    foot, *steps = sorted(heights)
    assert foot > 20  # points from the paper's edge
    assert steps[0] > foot + 10


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Guovdageainnu mánáidskuvla", "Guovdageainnu mánáidskuvla"),
        ("Čuđegiettis ŋ ŧ š ž", "Čuđegiettis ŋ ŧ š ž"),
        ("ǥ ǩ", "g k"),
        ("Nord\u2013Sør «Åsen» \u2019n", "Nord\u2013Sør «Åsen» \u2019n"),
        ("学校", "??"),
        ("e\u0301", "é"),
    ],
)
def test_letters_that_the_font_lacks_never_stop_the_printing(school: School, name: str, shown: str) -> None:
    assert typeface.printable(name) == shown
    with transaction():
        other = factories.school(name)
    assert shown in printed(*ticket_for(other))[1]


def test_a_name_that_looks_like_a_formula_or_markup_is_only_text(school: School) -> None:
    name = '=HYPERLINK("http://evil.example")**b** (x) \\ <a href="x">'
    with transaction():
        other = factories.school(name)
    content, text = printed(*ticket_for(other))
    assert "=HYPERLINK" in text
    assert "**b**" in text
    assert not re.search(rb"/(URI|JavaScript|JS|Launch|AA|Annots)\b|/OpenAction\s*<<", content)
