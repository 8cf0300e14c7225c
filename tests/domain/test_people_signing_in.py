"""Signing in: one answer for all that is wrong, limits, sessions and their ends, and what is forgotten."""

from datetime import date, datetime, timedelta

import argon2
import pytest
from flask import Flask
from sqlalchemy import func, select

from fleet.access import Principal, Role
from fleet.db import db
from fleet.people import accounts, limits, passwords, signing_in
from fleet.people.models import Account, PasswordLink, SignInFailure, SignInSession
from fleet.people.signing_in import Refused, SignedIn, SignInRefusedError
from fleet.schools.models import MembershipRole
from tests import factories
from tests.conftest import NOW
from tests.factories import GOOD_PASSWORD

CLI = Principal.command_line()
SCHOOL = "192.0.2.1"


def attempt(
    username: str = "prove", password: str = GOOD_PASSWORD, *, address: str = SCHOOL, now: datetime = NOW
) -> SignedIn | Refused:
    return signing_in.sign_in(username, password, address=address, now=now)


def entered(username: str = "prove", *, now: datetime = NOW) -> str:
    done = attempt(username, now=now)
    assert isinstance(done, SignedIn)
    return done.token


def wait_s(done: SignedIn | Refused) -> int:
    """Return how long one has to wait; 0 where the password was looked at."""
    if isinstance(done, SignedIn) or isinstance(done.error, SignInRefusedError):
        return 0
    assert set(done.error.data) == {"retry_after_s"}
    return int(done.error.data["retry_after_s"])


@pytest.fixture
def one(app: Flask) -> Account:
    return factories.account("prove", password=GOOD_PASSWORD)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the hashes that argon2 is really run against from now on, in order."""
    seen: list[str] = []
    real = argon2.PasswordHasher.verify

    def counting(self: argon2.PasswordHasher, stored: str, password: bytes) -> bool:
        seen.append(stored)
        return real(self, stored, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counting)
    return seen


def test_the_right_password_opens_a_session_whatever_the_case_of_the_name(one: Account) -> None:
    done = attempt(" PROVE ")
    assert isinstance(done, SignedIn)
    (stored,) = db.session.scalars(select(SignInSession)).all()
    assert done.token not in repr(vars(stored))
    found = signing_in.session(done.token, now=NOW)
    assert found is not None
    assert found.id == one.id
    (line,) = factories.audited()
    assert (line.actor_kind, line.actor_id, line.action) == ("account", str(one.id), "people.signed-in")


def test_every_session_has_its_own_token(one: Account) -> None:
    assert len({entered() for _ in range(3)}) == 3


def test_wrong_name_wrong_password_disabled_and_no_password_are_answered_alike(
    one: Account, verified: list[str]
) -> None:
    accounts.disable(factories.account("disabled", password=GOOD_PASSWORD), by=CLI, now=NOW)
    factories.account("new")
    tries = [("prove", "galt"), ("nobody", "galt"), ("disabled", GOOD_PASSWORD), ("new", ""), ("nul\x00", "galt")]
    refusals = [attempt(username, password) for username, password in tries]
    assert [str(done.error) for done in refusals if isinstance(done, Refused)] == ["sign-in-refused()"] * len(tries)
    assert [(line.action, line.subject.partition(":")[2].isdigit(), line.fields["reason"]) for line in factories.audited(5)] == [
        ("people.sign-in-refused", False, "unknown"),
        ("people.sign-in-refused", True, "password"),
        ("people.sign-in-refused", True, "disabled"),
        ("people.sign-in-refused", False, "unknown"),
        ("people.sign-in-refused", True, "password"),
    ]  # fmt: skip


def test_an_unknown_name_costs_the_same_hash_as_a_known_one(one: Account, verified: list[str]) -> None:
    accounts.disable(factories.account("disabled", password=GOOD_PASSWORD), by=CLI, now=NOW)
    factories.account("new")
    for username in ("prove", "nobody", "disabled", "new", "not a name", ""):
        verified.clear()
        assert isinstance(attempt(username, "galt"), Refused)
        assert len(verified) == 1
        parameters = argon2.extract_parameters(verified[0])
        assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19_456, 2, 1)


def test_a_sign_in_is_few_statements(one: Account, statements: list[str]) -> None:
    db.session.flush()
    statements.clear()
    entered()
    assert len(statements) <= 8  # of them one that waits in line, on PostgreSQL


def test_a_hash_of_older_parameters_is_renewed_by_signing_in(one: Account) -> None:
    one.password_hash = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(GOOD_PASSWORD)
    db.session.flush()
    assert isinstance(attempt(password="galt"), Refused)
    assert passwords.is_outdated(str(one.password_hash))
    entered()
    assert one.password_hash is not None
    assert not passwords.is_outdated(one.password_hash)
    renewed = one.password_hash
    entered(now=NOW + timedelta(minutes=1))
    assert one.password_hash == renewed


@pytest.mark.parametrize("username", ["prove", "nobody"])
def test_the_wait_grows_with_failures_of_one_name_known_or_not(one: Account, username: str) -> None:
    now, waits = NOW, list[int]()
    for _ in range(limits.MAX_PER_NAME):
        done = attempt(username, "galt", now=now)
        assert wait_s(done) == 0
        waits.append(wait := wait_s(attempt(username, "galt", now=now)) if len(waits) >= 2 else 0)
        now += timedelta(seconds=wait)
    assert waits == [0, 0, 1, 2, 4, 8, 16, 32, 64, 900 - 127]
    # After that nothing helps, not the right password nor another address, until the oldest is a quarter old.
    assert wait_s(attempt(username, address="198.51.100.9", now=now - timedelta(seconds=1))) == 1
    assert wait_s(attempt(username, now=now)) == 0


def test_an_attempt_that_is_turned_away_is_neither_looked_at_nor_counted(one: Account, verified: list[str]) -> None:
    limits.note_failure(*[limits.name_subject("prove")] * limits.MAX_PER_NAME, now=NOW)
    lines = len(factories.audited())
    for second in range(20):
        assert wait_s(attempt(now=NOW + timedelta(seconds=second))) == 900 - second
    assert verified == []
    assert len(factories.audited()) == lines
    assert isinstance(attempt(now=NOW + limits.WINDOW), SignedIn)


def test_success_forgives_the_name_but_not_the_address(one: Account) -> None:
    for number in range(limits.MAX_PER_ADDRESS - 2):
        assert wait_s(attempt(f"name{number}", "galt")) == 0
    attempt(password="galt")
    attempt(password="galt")
    limits.note_failure(limits.name_subject("other"), now=NOW)
    assert wait_s(attempt()) == 900
    assert isinstance(attempt(address="198.51.100.1"), SignedIn)
    left = dict(db.session.execute(select(SignInFailure.subject, func.count()).group_by(SignInFailure.subject)).all())
    assert limits.name_subject("prove") not in left
    assert left[limits.name_subject("other")] == 1
    assert left[limits.address_subject(SCHOOL)] == limits.MAX_PER_ADDRESS
    assert wait_s(attempt("name1", "galt")) == 900


def test_a_whole_school_signs_in_from_one_address(app: Flask) -> None:
    stored = passwords.make_hash(GOOD_PASSWORD)
    for number in range(60):
        factories.account(f"teacher{number}").password_hash = stored
    db.session.flush()
    slips = [attempt(f"teacher{number}", "galt") for number in range(49)]
    assert {wait_s(done) for done in slips} == {0}
    assert all(isinstance(attempt(f"teacher{number}"), SignedIn) for number in range(60))


def test_only_digests_of_names_and_addresses_are_kept(one: Account) -> None:
    attempt(password="galt")
    subjects = set(db.session.scalars(select(SignInFailure.subject)))
    assert subjects == {limits.name_subject("prove"), limits.address_subject(SCHOOL)}
    assert all(len(subject) == 64 and "prove" not in subject for subject in subjects)


def test_one_machine_of_ipv6_is_one_address() -> None:
    same = limits.address_subject
    assert same("2001:db8:1:2::1") == same("2001:DB8:1:2:ffff::9") != same("2001:db8:1:3::1")
    assert same("::ffff:192.0.2.1") == same("192.0.2.1") != same("192.0.2.2")
    assert same("fe80::1%eth0") == same("fe80::2")
    assert same("unix:") != same("")


def test_a_session_ends_after_eight_hours_without_use_and_seven_days_with(one: Account) -> None:
    token = entered()
    idle, life = timedelta(hours=8), timedelta(days=7)
    assert signing_in.session(token, now=NOW + idle - timedelta(seconds=1)) is not None
    assert signing_in.session(token, now=NOW + idle) is None
    assert not signing_in.touch(token, now=NOW + idle)
    now = NOW
    while (now := now + timedelta(hours=7)) < NOW + life:
        assert signing_in.touch(token, now=now)
        assert signing_in.session(token, now=now) is not None
    assert signing_in.session(token, now=NOW + life - timedelta(seconds=1)) is not None
    assert signing_in.session(token, now=NOW + life) is None
    assert not signing_in.touch(token, now=NOW + life)


def test_use_is_noted_every_five_minutes_at_most(one: Account) -> None:
    token = entered()
    early, due = NOW + timedelta(minutes=4, seconds=59), NOW + timedelta(minutes=5)
    before, at_time = signing_in.current(token, now=early), signing_in.current(token, now=due)
    assert before is not None
    assert at_time is not None
    assert (before.touch_due, at_time.touch_due) == (False, True)
    assert not signing_in.touch(token, now=early)
    assert signing_in.touch(token, now=due)
    assert not signing_in.touch(token, now=due)
    after = signing_in.current(token, now=due)
    assert after is not None
    assert not after.touch_due
    assert not signing_in.touch("none", now=due)


@pytest.mark.parametrize("token", ["", "none", "å\ud800\x00"])
def test_what_is_no_session_is_nobodys(one: Account, token: str) -> None:
    entered()
    assert signing_in.session(token, now=NOW) is None
    signing_in.sign_out(token, now=NOW)
    assert db.session.scalar(select(func.count()).select_from(SignInSession)) == 1


def test_a_request_knows_who_asks_and_what_they_may_in_two_statements(app: Flask, statements: list[str]) -> None:
    at = factories.school()
    teacher = factories.employee("teacher", at)
    taught = factories.school_class(at)
    factories.membership(teacher, taught, role=MembershipRole.TEACHER)
    factories.account("teacher", (Role.TEACHER, at), (Role.SCHOOL_IT, at), password=GOOD_PASSWORD, of=teacher)
    token = entered("teacher")
    db.session.expire_all()
    statements.clear()
    found = signing_in.session(token, now=NOW)
    assert found is not None
    by = accounts.principal(found, today=date(2026, 9, 14))
    assert len(statements) == 2
    assert by.own_class_ids == {taught.id}
    assert {grant.role for grant in by.grants} == {Role.TEACHER, Role.SCHOOL_IT}


def test_signing_out_ends_this_session_and_no_other(one: Account) -> None:
    here, there = entered(), entered()
    signing_in.sign_out(here, now=NOW)
    assert signing_in.session(here, now=NOW) is None
    assert signing_in.session(there, now=NOW) is not None
    signing_in.sign_out(here, now=NOW)
    assert [line.fields for line in factories.audited(action="people.signed-out")] == [{"count": 1}]


def test_signing_out_everywhere_ends_all_of_ones_own(one: Account) -> None:
    factories.account("other", password=GOOD_PASSWORD)
    own, others = [entered(), entered()], entered("other")
    assert signing_in.sign_out_everywhere(accounts.find("prove"), now=NOW) == 2
    assert [signing_in.session(token, now=NOW) for token in own] == [None, None]
    assert signing_in.session(others, now=NOW) is not None


def test_what_has_no_purpose_any_more_is_forgotten_and_the_rest_stays(one: Account) -> None:
    other = factories.account("other", password=GOOD_PASSWORD)
    later = NOW + timedelta(hours=9)
    entered()  # idle by then
    kept = entered(now=later)
    attempt("nobody", "galt")  # two failures, old by then
    attempt("nobody", "galt", now=later)
    used = passwords.issue_link(one, by=CLI, now=NOW)
    passwords.issue_link(other, by=CLI, now=NOW, life=timedelta(hours=1))
    open_link = passwords.issue_link(factories.account("third"), by=CLI, now=NOW)
    db.session.execute(
        PasswordLink.__table__.update()  # type: ignore[attr-defined]
        .where(PasswordLink.account_id == one.id)
        .values(used_at=NOW)
    )
    assert used != open_link
    assert signing_in.forget(now=later) == 1 + 2 + 2
    assert signing_in.forget(now=later) == 0
    assert signing_in.session(kept, now=later) is not None
    assert passwords.look_up_link(open_link, now=later).username == "third"
    assert db.session.scalar(select(func.count()).select_from(SignInFailure)) == 2
    assert signing_in.forget(now=later + timedelta(days=8)) == 1 + 2 + 1


def test_a_password_compared_ahead_is_not_hashed_again(one: Account, verified: list[str]) -> None:
    compared = signing_in.compare(signing_in.look_up("Prove", address=SCHOOL, now=NOW), GOOD_PASSWORD)
    done = signing_in.sign_in("prove", GOOD_PASSWORD, address=SCHOOL, now=NOW, compared=compared)
    assert isinstance(done, SignedIn)
    assert verified == [one.password_hash]


def test_a_password_compared_ahead_of_a_new_one_is_compared_anew(one: Account, verified: list[str]) -> None:
    compared = signing_in.compare(signing_in.look_up("prove", address=SCHOOL, now=NOW), GOOD_PASSWORD)
    assert compared.is_right
    one.password_hash = passwords.make_hash("et helt annet passord")
    db.session.flush()
    done = signing_in.sign_in("prove", GOOD_PASSWORD, address=SCHOOL, now=NOW, compared=compared)
    assert isinstance(done, Refused)
    assert len(verified) == 2


def test_a_right_password_compared_ahead_does_not_pass_those_that_failed_meanwhile(one: Account) -> None:
    compared = signing_in.compare(signing_in.look_up("prove", address=SCHOOL, now=NOW), GOOD_PASSWORD)
    for number in range(limits.MAX_PER_NAME):
        limits.note_failure(limits.name_subject("prove"), now=NOW - timedelta(seconds=number))
    done = signing_in.sign_in("prove", GOOD_PASSWORD, address=SCHOOL, now=NOW, compared=compared)
    assert wait_s(done) > 0
    with pytest.raises(limits.TooManyFailuresError):
        signing_in.look_up("prove", address=SCHOOL, now=NOW)


@pytest.mark.parametrize("username", ["nobody", "x", "", "a" * 300, "to ord"])
def test_a_name_without_an_account_is_compared_too_and_is_never_right(
    username: str, one: Account, verified: list[str]
) -> None:
    stored = signing_in.look_up(username, address=SCHOOL, now=NOW)
    compared = signing_in.compare(stored, GOOD_PASSWORD)
    assert (stored, compared.is_right, len(verified)) == (None, False, 1)
    done = signing_in.sign_in(username, GOOD_PASSWORD, address=SCHOOL, now=NOW, compared=compared)
    assert isinstance(done, Refused)
    assert len(verified) == 1
    assert one.password_hash not in verified
