"""Accounts: who may give which role to whom, the last administrator, and what a role is worth now."""

from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import delete

from fleet.access import PERMISSIONS, Grant, Permission, Principal, Role
from fleet.db import db
from fleet.devices import queries as devices
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.people import accounts, passwords, signing_in
from fleet.people.models import Account, AccountGrant
from fleet.schools import queries as schools
from fleet.schools.models import MembershipRole, PersonKind
from tests import factories
from tests.conftest import NOW
from tests.factories import GOOD_PASSWORD

CLI = Principal.command_line()
TODAY = date(2026, 9, 14)


def actions() -> list[tuple[str, dict[str, object]]]:
    return [(line.action, line.fields) for line in reversed(factories.audited())]


def signed_in(account: Account) -> str:
    done = signing_in.sign_in(account.username, GOOD_PASSWORD, address="192.0.2.1", now=NOW)
    assert isinstance(done, signing_in.SignedIn)
    return done.token


def test_a_user_name_is_stored_without_case_and_found_in_any(app: Flask) -> None:
    made = accounts.create("  Kåre.Prøvesen@Skole.Example ", " Kåre Prøvesen ", by=CLI, now=NOW)
    assert (made.username, made.name) == ("kåre.prøvesen@skole.example", "Kåre Prøvesen")
    decomposed = "KA\N{COMBINING RING ABOVE}RE.prøvesen@skole.example"
    assert accounts.find(decomposed) is made
    assert actions() == [("people.created", {})]


@pytest.mark.parametrize("username", ["", "a", "two words", "x" * 256, "nul\x00", "a\ud800b", "semi;colon"])
def test_what_cannot_be_a_user_name_is_refused_and_never_found(app: Flask, username: str) -> None:
    with pytest.raises(InvalidError, match="username"):
        accounts.create(username, "Prøve", by=CLI, now=NOW)
    with pytest.raises(NotFoundError):
        accounts.find(username)


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "line\nbreak"])
def test_what_cannot_be_a_name_is_refused(app: Flask, name: str) -> None:
    with pytest.raises(InvalidError, match="'name'"):
        accounts.create("prove", name, by=CLI, now=NOW)


def test_a_user_name_is_taken_once(app: Flask) -> None:
    accounts.create("prove", "Prøve", by=CLI, now=NOW)
    with pytest.raises(ConflictError, match="taken"):
        accounts.create("PROVE", "En annen", by=CLI, now=NOW)


def test_an_unknown_name_is_answered_with_the_nearest(app: Flask) -> None:
    factories.account("provesen")
    with pytest.raises(NotFoundError) as refusal:
        accounts.find("prøvesen")
    assert refusal.value.data == {"kind": "account", "name": "prøvesen", "nearest": ["provesen"]}


@pytest.mark.parametrize("kind", [PersonKind.TEACHER, PersonKind.STAFF])
def test_a_new_account_finds_its_person_in_the_roster(app: Flask, kind: PersonKind) -> None:
    at = factories.school()
    someone = factories.employee("ÆRLIG@skole.example", at, kind=kind)
    factories.employee(None, at)
    assert accounts.create("ærlig@skole.example", "Prøve", by=CLI, now=NOW).person_id == someone.id


def test_a_new_account_is_not_linked_where_it_is_unclear_who_is_meant(app: Flask) -> None:
    at = factories.school()
    factories.employee("pupil", at, kind=PersonKind.PUPIL)
    factories.employee("gone", at).ended_at = NOW
    factories.employee("two", at)
    factories.employee("two", at, kind=PersonKind.STAFF)
    factories.account("other", of=factories.employee("taken", at))
    linked = [accounts.create(name, "P", by=CLI, now=NOW).person_id for name in ("pupil", "gone", "two", "taken")]
    assert linked == [None, None, None, None]


def test_a_teacher_is_found_in_a_roster_that_came_later_and_again_under_another_id(app: Flask) -> None:
    at = factories.school()
    one = factories.account("prove", (Role.TEACHER, at), password=GOOD_PASSWORD)
    signed_in(one)
    assert one.person_id is None
    first = factories.employee("Prove", at)
    signed_in(one)
    assert one.person_id == first.id
    second = factories.employee("prove", at)
    signed_in(one)
    assert one.person_id == first.id
    first.ended_at = NOW
    signed_in(one)
    assert one.person_id == second.id
    second.ended_at = NOW
    signed_in(one)
    assert one.person_id == second.id


def test_one_who_becomes_a_teacher_is_looked_for_in_the_roster_and_others_are_not(app: Flask) -> None:
    at = factories.school()
    one = factories.account("prove", (Role.SCHOOL_IT, at), password=GOOD_PASSWORD)
    someone = factories.employee("prove", at)
    signed_in(one)
    assert one.person_id is None
    accounts.grant(one, Role.TEACHER, school_id=at.id, by=CLI, now=NOW)
    assert one.person_id == someone.id


def test_only_one_who_manages_people_everywhere_makes_accounts(app: Flask) -> None:
    at = factories.school()
    for grants in ((), (Grant(Role.SCHOOL_IT, None),), (Grant(Role.MUNICIPAL_ADMIN, at.id),)):
        with pytest.raises(ForbiddenError):
            accounts.create("prove", "Prøve", by=Principal("account", "1", grants), now=NOW)


def test_a_list_of_accounts_costs_the_same_however_many_they_are(app: Flask, statements: list[str]) -> None:
    at = factories.school()

    def cost() -> int:
        app.extensions["sqlalchemy"].session.expire_all()
        statements.clear()
        for one in accounts.listed(by=CLI):
            assert [(grant.role, grant.school_id) for grant in one.grants]
            assert one.person is None or one.person.username
        return len(statements)

    factories.account("a", (Role.TEACHER, at), of=factories.employee("a", at))
    few = cost()
    for number in range(10):
        factories.account(f"b{number}", (Role.TEACHER, at), (Role.SCHOOL_IT, at), of=factories.employee("b", at))
    assert cost() == few == 2


def test_a_list_shows_those_one_manages(app: Flask) -> None:
    here, there = factories.school("Her skole"), factories.school("Der skole")
    factories.account("here", (Role.TEACHER, here))
    factories.account("there", (Role.TEACHER, there))
    factories.account("none")
    local = Principal("account", "1", (Grant(Role.MUNICIPAL_ADMIN, here.id),))
    assert [one.username for one in accounts.listed(by=CLI)] == ["here", "none", "there"]
    assert [one.username for one in accounts.listed(by=local)] == ["here"]
    with pytest.raises(ForbiddenError):
        accounts.listed(by=Principal("account", "1", (Grant(Role.SCHOOL_IT, here.id),)))


# Who may give and take which role, where: (own role, own place), (role, place); "here" and "there" are schools.
GRANTABLE: dict[tuple[Role, str | None] | None, set[tuple[Role, str | None]]] = {
    (Role.MUNICIPAL_ADMIN, None): {
        (Role.MUNICIPAL_ADMIN, None), (Role.SCHOOL_IT, None), (Role.SCHOOL_IT, "here"), (Role.SCHOOL_IT, "there"),
        (Role.TEACHER, "here"), (Role.TEACHER, "there"),
    },
    # Nothing makes such a grant today; if something ever does, it ends at the school's door.
    (Role.MUNICIPAL_ADMIN, "here"): {(Role.SCHOOL_IT, "here"), (Role.TEACHER, "here")},
    (Role.SCHOOL_IT, None): set(),
    (Role.SCHOOL_IT, "here"): set(),
    (Role.TEACHER, "here"): set(),
    None: set(),
}  # fmt: skip


@pytest.mark.parametrize("place", [None, "here", "there"])
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("own", list(GRANTABLE), ids=str)
def test_nobody_gives_or_takes_what_they_do_not_hold_there(
    app: Flask, own: tuple[Role, str | None] | None, role: Role, place: str | None
) -> None:
    """Regression for the fault of CVE-2022-24841: an administrator of one team added himself to others."""
    schools = {"here": factories.school("Her skole"), "there": factories.school("Der skole")}
    ids: dict[str | None, int | None] = {None: None, "here": schools["here"].id, "there": schools["there"].id}
    grants = (Grant(own[0], ids[own[1]]),) if own is not None else ()
    one = factories.account("self", *([(own[0], schools.get(own[1] or ""))] if own is not None else []))
    factories.account("boss", (Role.MUNICIPAL_ADMIN, None))
    by = Principal("account", str(one.id), grants)
    target = one if own != (role, place) else factories.account("other")
    if (role, place) in GRANTABLE[own]:
        accounts.grant(target, role, school_id=ids[place], by=by, now=NOW)
        assert (role, ids[place]) in {(held.role, held.school_id) for held in target.grants}
        accounts.revoke(target, role, school_id=ids[place], by=by, now=NOW)
        assert (role, ids[place]) not in {(held.role, held.school_id) for held in target.grants}
        return
    before = {(held.role, held.school_id) for held in target.grants}
    with pytest.raises((ForbiddenError, InvalidError)) as refusal:
        accounts.grant(target, role, school_id=ids[place], by=by, now=NOW)
    # What no one can have (a teacher of everything) is wrong for whom may; for all others it is forbidden.
    holds_all = all(by.may(needed, school_id=ids[place]) for needed in (Permission.MANAGE_PEOPLE, *PERMISSIONS[role]))
    assert isinstance(refusal.value, InvalidError if holds_all else ForbiddenError)
    if not holds_all:
        with pytest.raises(ForbiddenError):
            accounts.revoke(target, role, school_id=ids[place], by=by, now=NOW)
    assert {(held.role, held.school_id) for held in target.grants} == before


def test_managing_people_alone_does_not_let_anybody_give_more_than_they_have(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        PERMISSIONS, Role.SCHOOL_IT, PERMISSIONS[Role.SCHOOL_IT] | {Permission.MANAGE_PEOPLE}
    )  # as a municipality may wish some day
    at = factories.school()
    boss = factories.account("boss", (Role.MUNICIPAL_ADMIN, None))
    one = factories.account("it", (Role.SCHOOL_IT, None))
    by = accounts.principal(one, today=TODAY)
    accounts.grant(one, Role.TEACHER, school_id=at.id, by=by, now=NOW)
    for act in (
        lambda: accounts.grant(one, Role.MUNICIPAL_ADMIN, by=by, now=NOW),
        lambda: accounts.revoke(boss, Role.MUNICIPAL_ADMIN, by=by, now=NOW),
        lambda: accounts.disable(boss, by=by, now=NOW),
        lambda: passwords.issue_link(boss, by=by, now=NOW),
    ):
        with pytest.raises(ForbiddenError):
            act()


def test_who_manages_one_school_touches_no_account_with_a_role_beyond_it(app: Flask) -> None:
    here, there = factories.school("Her skole"), factories.school("Der skole")
    local = Principal("account", "99", (Grant(Role.MUNICIPAL_ADMIN, here.id),))
    own = factories.account("own", (Role.TEACHER, here))
    beyond = [
        factories.account("none"),
        factories.account("there", (Role.TEACHER, there)),
        factories.account("both", (Role.TEACHER, here), (Role.TEACHER, there)),
        factories.account("boss", (Role.MUNICIPAL_ADMIN, None)),
    ]
    for account in beyond:
        with pytest.raises(ForbiddenError):
            accounts.disable(account, by=local, now=NOW)
        with pytest.raises(ForbiddenError):
            accounts.enable(account, by=local, now=NOW)
        with pytest.raises(ForbiddenError):
            passwords.issue_link(account, by=local, now=NOW)
    with pytest.raises(ForbiddenError):
        passwords.issue_link(None, by=local, now=NOW)
    assert passwords.look_up_link(passwords.issue_link(own, by=local, now=NOW), now=NOW).username == "own"
    accounts.disable(own, by=local, now=NOW)
    accounts.enable(own, by=local, now=NOW)


def test_a_role_is_given_once_at_a_school_that_lives(app: Flask) -> None:
    at, gone = factories.school(), factories.school("Nedlagt skole")
    gone.ended_at = NOW
    one = factories.account("prove", (Role.SCHOOL_IT, None))
    accounts.grant(one, Role.SCHOOL_IT, school_id=at.id, by=CLI, now=NOW)
    with pytest.raises(ConflictError, match="already granted"):
        accounts.grant(one, Role.SCHOOL_IT, school_id=at.id, by=CLI, now=NOW)
    with pytest.raises(ConflictError, match="already granted"):
        accounts.grant(one, Role.SCHOOL_IT, by=CLI, now=NOW)
    for school_id in (gone.id, 10_000):
        with pytest.raises(NotFoundError):
            accounts.grant(one, Role.TEACHER, school_id=school_id, by=CLI, now=NOW)
    with pytest.raises(NotFoundError):
        accounts.revoke(one, Role.TEACHER, school_id=at.id, by=CLI, now=NOW)
    accounts.revoke(one, Role.SCHOOL_IT, school_id=at.id, by=CLI, now=NOW)
    expected = {"role": "school-it", "school_id": at.id}
    assert actions() == [("people.granted", expected), ("people.revoked", expected)]


def test_the_last_municipal_administrator_stays(app: Flask) -> None:
    at = factories.school()
    one = factories.account("one", (Role.MUNICIPAL_ADMIN, None), password=GOOD_PASSWORD)
    factories.account("it", (Role.SCHOOL_IT, at), password=GOOD_PASSWORD)
    with pytest.raises(ConflictError, match="last municipal administrator"):
        accounts.revoke(one, Role.MUNICIPAL_ADMIN, by=CLI, now=NOW)
    with pytest.raises(ConflictError, match="last municipal administrator"):
        accounts.disable(one, by=CLI, now=NOW)
    # One who is disabled, and one who never chose a password, are no help.
    disabled = factories.account("disabled", (Role.MUNICIPAL_ADMIN, None), password=GOOD_PASSWORD)
    accounts.disable(disabled, by=CLI, now=NOW)
    silent = factories.account("silent", (Role.MUNICIPAL_ADMIN, None))
    with pytest.raises(ConflictError, match="last municipal administrator"):
        accounts.disable(one, by=CLI, now=NOW)
    # They can be taken away, as that changes nothing.
    accounts.revoke(disabled, Role.MUNICIPAL_ADMIN, by=CLI, now=NOW)
    accounts.disable(silent, by=CLI, now=NOW)
    other = factories.account("other", (Role.MUNICIPAL_ADMIN, None), password=GOOD_PASSWORD)
    accounts.revoke(one, Role.MUNICIPAL_ADMIN, by=CLI, now=NOW)
    with pytest.raises(ConflictError, match="last municipal administrator"):
        accounts.revoke(other, Role.MUNICIPAL_ADMIN, by=CLI, now=NOW)


def test_a_disabled_account_is_out_at_once_and_its_old_session_and_link_stay_dead(app: Flask) -> None:
    one = factories.account("prove", password=GOOD_PASSWORD)
    token = signed_in(one)
    link = passwords.issue_link(one, by=CLI, now=NOW)
    accounts.disable(one, by=CLI, now=NOW)
    assert signing_in.session(token, now=NOW) is None
    assert accounts.principal(one, today=TODAY) == Principal("account", str(one.id))
    with pytest.raises(ConflictError, match="already disabled"):
        accounts.disable(one, by=CLI, now=NOW)
    with pytest.raises(ConflictError, match="disabled"):
        passwords.issue_link(one, by=CLI, now=NOW)
    accounts.enable(one, by=CLI, now=NOW)
    assert signing_in.session(token, now=NOW) is None
    with pytest.raises(passwords.LinkInvalidError):
        passwords.look_up_link(link, now=NOW)
    with pytest.raises(ConflictError, match="not disabled"):
        accounts.enable(one, by=CLI, now=NOW)
    assert signing_in.session(signed_in(one), now=NOW) is one
    told = [action for action, _ in actions()]
    assert told == ["people.signed-in", "people.link-issued", "people.disabled", "people.enabled", "people.signed-in"]


def test_a_session_older_than_the_loss_of_a_role_may_nothing_more_at_once(app: Flask) -> None:
    at = factories.school()
    one = factories.account("it", (Role.SCHOOL_IT, at), password=GOOD_PASSWORD)
    token = signed_in(one)

    def may() -> bool:
        found = signing_in.session(token, now=NOW + timedelta(seconds=1))
        assert found is not None
        return accounts.principal(found, today=TODAY).may(Permission.MANAGE_TICKETS, school_id=at.id)

    assert may()
    accounts.revoke(one, Role.SCHOOL_IT, school_id=at.id, by=CLI, now=NOW)
    assert not may()


def test_what_another_server_took_away_is_gone_although_it_was_read_here_before(app: Flask) -> None:
    one = factories.account("it", (Role.SCHOOL_IT, None), password=GOOD_PASSWORD)
    token = signed_in(one)
    assert one.grants
    db.session.execute(delete(AccountGrant).execution_options(synchronize_session=False))
    found = signing_in.session(token, now=NOW)
    assert found is not None
    assert accounts.principal(found, today=TODAY).grants == ()


def test_a_teacher_may_see_the_classes_taught_today_and_no_others(app: Flask) -> None:
    here, there = factories.school("Her skole"), factories.school("Der skole")
    teacher = factories.employee("teacher", here)
    now_on, over, foreign, as_pupil = (factories.school_class(here, title) for title in ("8A", "8B", "8C", "8D"))
    elsewhere = factories.school_class(there, "8A")
    factories.membership(teacher, now_on, role=MembershipRole.TEACHER)
    factories.membership(teacher, over, role=MembershipRole.TEACHER, ends_on=TODAY - timedelta(days=1))
    factories.membership(teacher, as_pupil, role=MembershipRole.PUPIL)
    factories.membership(teacher, elsewhere, role=MembershipRole.TEACHER)
    own = factories.device(here, class_id=now_on.id)
    left, comes = factories.pupil(here), factories.pupil(here)
    factories.membership(left, now_on, ends_on=TODAY - timedelta(days=1))
    factories.membership(comes, now_on, starts_on=TODAY + timedelta(days=1))
    for pupil in (left, comes):
        factories.device(here, person=pupil)
    factories.device(there, class_id=elsewhere.id)
    one = factories.account("teacher", (Role.TEACHER, here), of=teacher)
    by = accounts.principal(one, today=TODAY)
    assert by.own_class_ids == {now_on.id}  # the roster gives no role at another school
    assert list(devices.devices(devices.Filter(), by=by)) == [own]
    assert devices.figures(by=by, now=NOW, group="class")[now_on.id].total == 1
    assert [(row["id"], row["pupils"]) for row in schools.classes(by)] == [(now_on.id, 0)]
    assert [row["role"] for row in schools.members(by, now_on)] == ["teacher"]
    seen = {
        (c.school_id, c.title): by.may(Permission.SEE_CLASS, school_id=c.school_id, class_id=c.id)
        for c in (now_on, over, foreign, as_pupil, elsewhere)
    }
    assert [place for place, may in seen.items() if may] == [(here.id, "8A")]
    assert over.id in accounts.principal(one, today=TODAY - timedelta(days=1)).own_class_ids


def test_a_role_without_own_classes_asks_the_roster_nothing(app: Flask, statements: list[str]) -> None:
    at = factories.school()
    someone = factories.employee("it", at)
    factories.membership(someone, factories.school_class(at), role=MembershipRole.TEACHER)
    one = factories.account("it", (Role.SCHOOL_IT, at), of=someone)
    statements.clear()
    assert accounts.principal(one, today=TODAY).own_class_ids == frozenset()
    assert statements == []
    assert accounts.principal(factories.account("t", (Role.TEACHER, at)), today=TODAY).own_class_ids == frozenset()


@pytest.mark.parametrize("language", ["nb", "nn", "en", None])
def test_a_language_we_speak_can_be_chosen(app: Flask, language: str | None) -> None:
    one = factories.account("prove")
    accounts.set_language(one, language, now=NOW)
    assert accounts.find("prove").language == language
    with pytest.raises(InvalidError):
        accounts.set_language(one, "de", now=datetime(2026, 1, 1, tzinfo=UTC))
