"""The supplier's delivery list: what is understood, what is refused with its place, and what a second import changes."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Grant, Principal, Role
from fleet.db import db, transaction
from fleet.devices import delivery, life
from fleet.devices.delivery_plan import DeliveryPlan, Difference, MovesError
from fleet.devices.models import Device, DeviceLife, Platform
from fleet.errors import ForbiddenError, InvalidFileError
from fleet.schools.models import ClassKind, Person, PersonKind, School, SchoolClass
from tests import factories, rosters
from tests.conftest import NOW

CLI = Principal.command_line()
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def schools(app: Flask) -> list[School]:
    """Return Kjenn with classes 8A and 8B and a pupil, and Rasta with a class 8A and a pupil."""
    with transaction():
        kjenn, rasta = School(name="Kjenn skole", source_id="kjenn"), School(name="Rasta skole", source_id="rasta")
        db.session.add_all([kjenn, rasta])
        db.session.flush()
        for at, title in ((kjenn, "8A"), (kjenn, "8B"), (rasta, "8A")):
            factories.school_class(at, title)
        for at, name in ((kjenn, "elev.åse"), (rasta, "elev.ola")):
            db.session.add(
                Person(
                    kind=PersonKind.PUPIL,
                    given_name="Prøve",
                    family_name="Elevsen",
                    username=name,
                    source_id=f"id-{at.source_id}",
                    school_id=at.id,
                )
            )
    return [kjenn, rasta]


def bring_in(path: Path, text: str | bytes, *, by: Principal = CLI) -> DeliveryPlan:
    path = path / "levering.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with transaction():
        return delivery.import_list(path, by=by, now=NOW)


def refused(path: Path, text: str | bytes) -> list[tuple[int | None, str | None, str, str | None]]:
    before = rosters.dump(without=set())
    with pytest.raises(InvalidFileError) as error:
        bring_in(path, text)
    assert rosters.dump(without=set()) == before
    assert all(problem.expected and problem.file == "levering.csv" for problem in error.value.problems)
    return [(problem.line, problem.column, problem.code, problem.found) for problem in error.value.problems]


def tablet(serial: str) -> Device:
    db.session.expire_all()
    return db.session.scalars(select(Device).where(Device.serial == serial)).one()


def facts(serial: str) -> dict[str, Any]:
    one = tablet(serial)
    return {
        "model": one.model,
        "platform": one.platform.value,
        "tag": one.asset_tag,
        "school": one.school.name if one.school is not None else None,
        "class": one.school_class.title if one.school_class is not None else None,
        "pupil": one.person.username if one.person is not None else None,
        "cart": one.cart,
    }


WHOLE = {
    "model": "iPad 10", "platform": "android", "tag": "LK-001", "school": "Kjenn skole", "class": "8B",
    "pupil": "elev.åse", "cart": "Vogn 1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("delimiter", "start", "newline"), [(",", "", "\n"), (";", "\ufeff", "\r\n"), ("\t", "", "\r\n"), (";", "", "\n")]
)
@pytest.mark.parametrize(
    "header",
    [
        "serial,model,platform,asset tag,school,class,pupil,cart",
        "Serial Number,Model Name,OS,Asset_Tag,School Name,Group,Student,Trolley",
        "Serienummer,Modell,Plattform,Inventarnr.,Skole,Klasse,Elev,Vogn",
        "SERIENR,Produkt,Operativsystem,Merkelapp,Skolenavn,Basisgruppe,Brukernavn,Tralle",
        '"S/N","type","plattform","merke","skole","gruppe","elev-id","vogn"',
    ],
)
def test_headers_delimiters_and_encodings_all_mean_the_same(
    schools: list[School], tmp_path: Path, header: str, delimiter: str, start: str, newline: str
) -> None:
    line = "abc123,iPad 10,Android,LK-001,KJENN SKOLE,8b,ELEV.ÅSE,Vogn 1"
    text = start + newline.join([header, line, ""]).replace(",", delimiter)
    assert bring_in(tmp_path, text).counts() == {"added": 1, "changed": 0, "unchanged": 0}
    assert facts("ABC123") == WHOLE
    one = tablet("ABC123")
    assert (one.life, one.listed_at, one.state.last_sequence) == (DeviceLife.EXPECTED, NOW, 0)


def test_spreadsheets_oddities_are_understood(schools: list[School], tmp_path: Path) -> None:
    text = '"serial";"=""tag""";"school";"pris"\n"=""00123""";="007";" Kjenn skole ";"4 990,00"\n;;;\n'
    plan = bring_in(tmp_path, text)
    assert plan.ignored == ["pris"]
    assert facts("00123")["tag"] == "007"


def test_without_a_platform_a_tablet_is_an_ipad_and_schools_and_pupils_may_be_named_by_id(
    schools: list[School], tmp_path: Path
) -> None:
    bring_in(tmp_path, "serial,school,pupil\nAB1,kjenn,ID-KJENN\nAB2,Rasta skole,\n")
    assert facts("AB1") | {"model": None} == dict.fromkeys(WHOLE) | {
        "platform": "ipados", "school": "Kjenn skole", "pupil": "elev.åse",
    }  # fmt: skip
    assert facts("AB2")["pupil"] is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (",iPad,ipad,Kjenn skole,,,,", ("serial", "bad-serial", None)),
        ("A B,iPad,ipad,Kjenn skole,,,,", ("serial", "bad-serial", "A B")),
        ("=cmd|' /C calc'!A0,iPad,ipad,Kjenn skole,,,,", ("serial", "bad-serial", "=cmd|' /C calc'!A0")),
        ('"1,23457E+11",iPad,ipad,Kjenn skole,,,,', ("serial", "rounded-serial", "1,23457E+11")),
        ("AB1,iPad,windows,Kjenn skole,,,,", ("platform", "unknown-platform", "windows")),
        ("AB1,iPad,,Kjenn skole,,,,", ("platform", "unknown-platform", "")),
        ("AB1,iPad,ipad,Kjen skole,,,,", ("school", "unknown-school", "Kjen skole")),
        ("AB1,iPad,ipad,,,,,", ("school", "unknown-school", "")),
        ("AB1,iPad,ipad,Kjenn skole,8C,,,", ("class", "unknown-class", "8C")),
        ("AB1,iPad,ipad,Kjenn skole,,elev.per,,", ("pupil", "unknown-pupil", None)),
        ("AB1,iPad,ipad,Kjenn skole,,elev.ola,,", ("pupil", "foreign-pupil", None)),
        (f"AB1,{'x' * 121},ipad,Kjenn skole,,,,", ("model", "too-long", "x" * 80)),
        (f"AB1,iPad,ipad,Kjenn skole,,,{'x' * 65},", ("asset_tag", "too-long", "x" * 65)),
        (f"AB1,iPad,ipad,Kjenn skole,,,,{'x' * 65}", ("cart", "too-long", "x" * 65)),
        ("AB1,i\x1b[2JPad,ipad,Kjenn skole,,,,", ("model", "control-character", None)),
        ("AB1,iPad,ipad", (None, "ragged-row", "3")),
    ],
)  # fmt: skip
def test_a_bad_line_is_told_with_its_place(
    schools: list[School], tmp_path: Path, line: str, expected: tuple[str, str, str | None]
) -> None:
    header = "serial,model,platform,school,class,pupil,asset tag,cart"
    found = refused(tmp_path, f"{header}\nOK1,iPad,ipad,Kjenn skole,,,,\n{line}\n")
    column, code, shown = expected
    assert [(one[0], one[1], one[2], one[3] or shown) for one in found] == [(3, column, code, shown)]


def test_the_nearest_names_are_proposed(schools: list[School], tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError) as error:
        bring_in(tmp_path, "serial,school,class\nAB1,kjen,\nAB2,Kjenn skole,8\nAB3,Zzz,\nAB4,Rasta skole,Zzz\n")
    assert [problem.expected for problem in error.value.problems] == [
        "a school: Kjenn skole",
        "a class of Kjenn skole: 8B, 8A",
        "a school: Kjenn skole, Rasta skole",
        "a class of Rasta skole: 8A",
    ]


def test_every_bad_line_is_told_and_all_are_counted(schools: list[School], tmp_path: Path) -> None:
    text = "serial,school\n" + "".join(f"AB{number},Ukjent\n" for number in range(300))
    with pytest.raises(InvalidFileError) as error:
        bring_in(tmp_path, text)
    assert (len(error.value.problems), error.value.data["count"]) == (200, 300)


def test_a_serial_twice_is_refused_and_the_first_line_named(schools: list[School], tmp_path: Path) -> None:
    found = refused(tmp_path, "serial,school\nAB1,Kjenn skole\nab1,Rasta skole\n?,Kjenn skole\n?,Kjenn skole\n")
    assert found == [
        (3, "serial", "duplicate-serial", "AB1"), (4, "serial", "bad-serial", "?"), (5, "serial", "bad-serial", "?"),
    ]  # fmt: skip


def test_names_that_several_have_are_not_guessed(schools: list[School], tmp_path: Path) -> None:
    with transaction():
        kjenn = db.session.merge(schools[0])
        db.session.add(School(name="kjenn skole"))
        for title in ("9A", "9a"):
            db.session.add(SchoolClass(school_id=kjenn.id, kind=ClassKind.BASIC, title=title))
        first = factories.pupil(kjenn)
        first.username = "ELEV.ÅSE"
    found = refused(tmp_path, "serial,school,class,pupil\nAB1,Kjenn skole,,\nAB2,kjenn,9A,\nAB3,kjenn,,elev.åse\n")
    assert found == [
        (2, "school", "ambiguous-school", "Kjenn skole"), (3, "class", "ambiguous-class", "9A"),
        (4, "pupil", "ambiguous-pupil", None),
    ]  # fmt: skip


def test_a_pupil_who_visits_a_class_of_the_school_may_have_its_tablet(schools: list[School], tmp_path: Path) -> None:
    with transaction():
        guest = db.session.scalars(select(Person).where(Person.username == "elev.ola")).one()
        visited = db.session.scalars(select(SchoolClass).where(SchoolClass.school_id == schools[0].id)).first()
        assert visited is not None
        factories.membership(guest, visited)
    bring_in(tmp_path, "serial,school,pupil\nAB1,Kjenn skole,elev.ola\n")
    assert facts("AB1")["pupil"] == "elev.ola"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", (1, None, "no-header", None)),
        ("serial,school\nAB1,Åsen\n".encode("latin-1"), (2, None, "not-utf8", None)),
        (b"serial,school\nAB1,\0\n", (2, None, "nul", None)),
        (b'serial,school\nAB1,"x\n', (2, None, "bad-csv", None)),
        (b"serial|school\nAB1|x\n", (1, None, "wrong-delimiter", "|")),
        (b"serial,school\n", (None, None, "empty", None)),
        (b"serial,skole,school\n", (1, "school", "duplicate-column", "school")),
        (b"serial,school,school\n", (1, "school", "duplicate-column", "school")),
        (b"serial,model\nAB1,x\n", (1, "school", "missing-column", None)),
        (b"serienumer,school\nAB1,x\n", (1, "serial", "missing-column", "serienumer")),
        (b"serial,shool\nAB1,x\n", (1, "school", "missing-column", "shool")),
    ],
)
def test_a_file_that_is_no_list_is_refused(
    schools: list[School], tmp_path: Path, text: bytes, expected: tuple[int | None, str | None, str, str | None]
) -> None:
    assert refused(tmp_path, text)[0] == expected


def test_a_very_large_file_is_refused_unread(
    schools: list[School], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MAX_BYTES", 20)
    assert refused(tmp_path, "serial,school\nAB1,Kjenn skole\n") == [(None, None, "too-large", None)]


def test_a_second_import_of_the_same_file_changes_nothing(schools: list[School], tmp_path: Path) -> None:
    text = "serial,model,platform,school,class,tag\nAB1,iPad,android,Kjenn skole,8A,1\nAB2,,linux,Rasta skole,,\n"
    assert bring_in(tmp_path, text).counts() == {"added": 2, "changed": 0, "unchanged": 0}
    before = rosters.dump(without=set())
    assert bring_in(tmp_path, text).counts() == {"added": 0, "changed": 0, "unchanged": 2}
    assert rosters.dump(without=set()) == before


def test_what_a_tablet_told_of_itself_outlives_the_list(schools: list[School], tmp_path: Path) -> None:
    text = "serial,model,platform,school\nAB1,Nettbrett 10,ipad,Kjenn skole\n"
    bring_in(tmp_path, text)
    with transaction():
        one = tablet("AB1")
        one.life, one.model, one.platform = DeviceLife.ENROLLED, "SM-X200", Platform.ANDROID
    assert bring_in(tmp_path, text).counts()["unchanged"] == 1
    assert (tablet("AB1").model, tablet("AB1").platform) == ("SM-X200", Platform.ANDROID)


def test_before_enrolment_the_newest_list_counts(schools: list[School], tmp_path: Path) -> None:
    bring_in(tmp_path, "serial,model,platform,school\nAB1,A,ipad,Kjenn skole\n")
    assert bring_in(tmp_path, "serial,model,platform,school\nAB1,B,linux,Kjenn skole\n").counts()["changed"] == 1
    assert (tablet("AB1").model, tablet("AB1").platform) == ("B", Platform.LINUX)


def test_a_list_changes_only_what_it_has_columns_for(schools: list[School], tmp_path: Path) -> None:
    bring_in(tmp_path, "serial,school,class,tag,pupil,cart\nAB1,Kjenn skole,8A,LK-1,elev.åse,Vogn 1\n")
    assert bring_in(tmp_path, "serial,school\nAB1,Kjenn skole\n").counts()["unchanged"] == 1
    bring_in(tmp_path, "serial,school,tag\nAB1,Kjenn skole,\n")
    found = facts("AB1")
    assert (found["tag"], found["class"], found["pupil"], found["cart"]) == (None, "8A", "elev.åse", "Vogn 1")


def test_a_tablet_that_changes_school_leaves_class_pupil_and_cart_behind(schools: list[School], tmp_path: Path) -> None:
    bring_in(tmp_path, "serial,school,class,tag,pupil,cart\nAB1,Kjenn skole,8A,LK-1,elev.åse,Vogn 1\n")
    bring_in(tmp_path, "serial,school,class\nAB1,Rasta skole,8A\n")
    one = tablet("AB1")
    assert facts("AB1") == dict.fromkeys(WHOLE) | {
        "platform": "ipados", "tag": "LK-1", "school": "Rasta skole", "class": "8A",
    }  # fmt: skip
    assert one.school_class is not None
    assert one.school_class.school_id == schools[1].id


def test_an_old_list_does_not_move_tablets_in_use_back_unless_told_to(schools: list[School], tmp_path: Path) -> None:
    text = "serial,school,class\nAB1,Kjenn skole,8A\nAB2,Kjenn skole,8A\n"
    bring_in(tmp_path, text)
    with transaction():
        tablet("AB1").life = DeviceLife.ENROLLED
    with transaction():
        class_b = db.session.scalars(select(SchoolClass).where(SchoolClass.title == "8B")).one()
        life.move(tablet("AB1"), school=schools[0], school_class=class_b, by=CLI, now=NOW)
    with pytest.raises(MovesError) as error:
        bring_in(tmp_path, text)
    assert error.value.data == {"kind": "tablets", "moves": 1, "serials": ["AB1"]}
    assert facts("AB1")["class"] == "8B"
    with transaction():
        plan = delivery.import_list(tmp_path / "levering.csv", allow_moves=True, by=CLI, now=NOW)
    assert plan.differences == [Difference("AB1", "class", "8B", "8A", is_move=True)]
    assert facts("AB1")["class"] == "8A"


def test_differences_name_places_and_never_a_pupil(schools: list[School], tmp_path: Path) -> None:
    bring_in(tmp_path, "serial,school,class,pupil\nAB1,Kjenn skole,8A,elev.åse\n")
    (tmp_path / "ny.csv").write_text("serial,school,class\nAB1,Rasta skole,8A\n")
    told = {one.column: (one.old, one.new) for one in delivery.propose(tmp_path / "ny.csv", by=CLI).differences}
    assert told["school"] == ("Kjenn skole", "Rasta skole")
    assert told["pupil"] == ("set", None)


def test_a_tablet_that_enrolled_unexpected_becomes_listed(schools: list[School], tmp_path: Path) -> None:
    with transaction():
        factories.device(schools[0], serial="AB1")
    assert bring_in(tmp_path, "serial,school\nAB1,Kjenn skole\n").counts()["changed"] == 1
    assert tablet("AB1").listed_at == NOW
    assert tablet("AB1").life is DeviceLife.ENROLLED


def test_a_tablet_is_listed_since_the_first_list_that_has_it(schools: list[School], tmp_path: Path) -> None:
    bring_in(tmp_path, "serial,school,tag\nAB1,Kjenn skole,LK-1\n")
    (tmp_path / "later.csv").write_text("serial,school,tag\nAB1,Kjenn skole,LK-2\n")
    with transaction():
        assert (
            delivery.import_list(tmp_path / "later.csv", by=CLI, now=NOW + timedelta(days=30)).counts()["changed"] == 1
        )
    assert (tablet("AB1").asset_tag, tablet("AB1").listed_at) == ("LK-2", NOW)


def test_a_retired_tablet_is_refused_with_its_line(schools: list[School], tmp_path: Path) -> None:
    bring_in(tmp_path, "serial,school\nAB1,Kjenn skole\nAB2,Kjenn skole\n")
    with transaction():
        life.step(tablet("AB2"), "retire", by=CLI, now=NOW)
    assert refused(tmp_path, "serial,school\nAB1,Kjenn skole\nAB2,Kjenn skole\n") == [(3, "serial", "retired", "AB2")]


def test_proposing_changes_nothing(schools: list[School], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("serial,school\nAB1,Kjenn skole\n")
    before = rosters.dump(without=set())
    assert delivery.propose(tmp_path / "a.csv", by=CLI).counts()["added"] == 1
    assert rosters.dump(without=set()) == before


def test_school_it_imports_for_the_own_school_only_and_takes_no_other_schools_tablets(
    schools: list[School], tmp_path: Path
) -> None:
    it = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, schools[0].id),))
    teacher = Principal("account", "2", grants=(Grant(Role.TEACHER, schools[0].id),))
    bring_in(tmp_path, "serial,school\nAB1,Kjenn skole\n", by=it)
    bring_in(tmp_path, "serial,school\nAB2,Rasta skole\n")
    for by, text in (
        (it, "serial,school\nAB3,Rasta skole\n"),
        (it, "serial,school\nAB2,Kjenn skole\n"),
        (teacher, "serial,school\nAB3,Kjenn skole\n"),
    ):
        before = rosters.dump(without=set())
        with pytest.raises(ForbiddenError):
            bring_in(tmp_path, text, by=by)
        assert rosters.dump(without=set()) == before


def test_an_import_that_changes_something_leaves_an_audit_line(schools: list[School], tmp_path: Path) -> None:
    bring_in(tmp_path, "serial,school\nAB1,Kjenn skole\nAB2,Kjenn skole\n")
    line = factories.audited(1)[0]
    assert (line.action, line.fields) == (
        "devices.imported", {"file_name": "levering.csv", "added": 2, "changed": 0},
    )  # fmt: skip


@pytest.mark.parametrize("size", [3, 1200])
def test_the_statements_do_not_grow_with_the_list(
    schools: list[School], tmp_path: Path, statements: list[str], size: int
) -> None:
    def text(tag: str) -> str:
        lines = (f"SN{number:05},Kjenn skole,{tag if number % 2 else ''}\n" for number in range(size))
        return "serial,school,tag\n" + "".join(lines)

    statements.clear()
    assert bring_in(tmp_path, text("A")).counts()["added"] == size
    assert len(statements) <= 30, "\n".join(statements)
    statements.clear()
    assert bring_in(tmp_path, text("B")).counts()["changed"] == size // 2
    assert len(statements) <= 30, "\n".join(statements)
