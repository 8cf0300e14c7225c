"""Passwords: which are good enough, how they are kept, changing one, and one-time links."""

import re
from datetime import timedelta

import argon2
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from fleet import crypto
from fleet.access import Principal, Role
from fleet.db import db, transaction
from fleet.errors import ConflictError, InvalidError
from fleet.people import accounts, limits, passwords, signing_in
from fleet.people.models import Account, PasswordLink, SignInFailure
from fleet.people.passwords import LinkInfo, LinkInvalidError, PasswordWeakError, PasswordWrongError
from tests import factories
from tests.conftest import NOW
from tests.factories import GOOD_PASSWORD

CLI = Principal.command_line()
OTHER_PASSWORD = "en helt annen setning"


def enter(username: str, password: str) -> str | None:
    done = signing_in.sign_in(username, password, address="192.0.2.1", now=NOW)
    return done.token if isinstance(done, signing_in.SignedIn) else None


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("elleve tegn", "too-short"),
        ("", "too-short"),
        ("A\N{COMBINING RING ABOVE}" * 11, "too-short"),  # 11 letters, however they are composed
        ("\ufdfa" * 11, "too-short"),  # eleven ligatures of eighteen letters each
        ("ab" * 200, "too-long"),
        ("rein-KARI.prove-rein", "username"),
        ("hei kari.prove@skole.example", "username"),
        ("aaaaaaaaaaaaaaaa", "repeated"),
        ("abcabcabcabcab", "repeated"),
        ("AbAbAbAbAbAbA", "repeated"),
        ("123456789012", "common"),
        ("abcdefghijklm", "common"),
        ("zyxwvutsrqpon", "common"),
        ("987654321098", "common"),
        ("Passord2026!!", "common"),
        ("!!!password1234", "common"),
        ("Sommer2026!2026", "common"),
        ("1q2w3e4r5t6y", "common"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused_with_the_reason(password: str, reason: str) -> None:
    with pytest.raises(PasswordWeakError) as refusal:
        passwords.check_strength(password, username="Kari.Prove@skole.example")
    assert refusal.value.data == {"reason": reason, "minimum": 12, "maximum": 256}


@pytest.mark.parametrize(
    "password",
    [
        GOOD_PASSWORD,
        "tolv tegn ok",
        "x7" * 3 + "bakvendt",
        "blåbærsyltetøy",
        "aaaaaaaaaaa rein",
        "12345678901x",
        "🦌" + "ab c" * 3,
    ],
)
def test_length_is_enough_without_rules_of_composition(password: str) -> None:
    passwords.check_strength(password, username="kari")


def test_a_user_name_of_two_letters_may_stand_inside_a_password() -> None:
    passwords.check_strength("blåbær og annet", username="og")


def test_the_longest_password_is_good_and_one_letter_more_is_not() -> None:
    longest = ("en lang setning " * 16)[:255] + "!"
    passwords.check_strength("q" + longest[1:], username="kari")
    with pytest.raises(PasswordWeakError, match="too-long"):
        passwords.check_strength("q" + longest[1:] + "!", username="kari")


def test_a_stored_password_is_argon2id_with_our_parameters_and_never_twice_the_same() -> None:
    first, second = passwords.make_hash(GOOD_PASSWORD), passwords.make_hash(GOOD_PASSWORD)
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert len(first) < 255
    assert passwords.verify(first, GOOD_PASSWORD)
    assert not passwords.verify(first, GOOD_PASSWORD + " ")
    assert not passwords.is_outdated(first)
    assert passwords.is_outdated(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x"))


def test_the_same_letters_are_the_same_password_however_they_are_composed() -> None:
    stored = passwords.make_hash("blåbær på fjellet")
    assert passwords.verify(stored, "bla\N{COMBINING RING ABOVE}bær pa\N{COMBINING RING ABOVE} fjellet")


def test_what_is_longer_than_any_password_is_wrong_even_where_it_begins_right() -> None:
    longest = "q" * 255 + "!"
    stored = passwords.make_hash(longest)
    assert passwords.verify(stored, longest)
    assert not passwords.verify(stored, longest + "x")
    assert not passwords.verify(stored, longest + "x" * 100_000)


def test_nothing_is_the_password_of_nobody() -> None:
    assert not passwords.verify(None, "")
    assert not passwords.verify(None, GOOD_PASSWORD)


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=20))
def test_any_text_is_judged_and_never_an_accident(text: str) -> None:
    with pytest.raises(PasswordWeakError):
        passwords.check_strength(text[:11], username=text)
    assert len(crypto.token_digest(text)) == 64
    assert not accounts.is_username(accounts.fold(f"{text} {text}x"))


def test_a_changed_password_holds_and_ends_the_other_sessions(app: Flask) -> None:
    one = factories.account("prove", password=GOOD_PASSWORD)
    here, there = enter("prove", GOOD_PASSWORD), enter("prove", GOOD_PASSWORD)
    assert here is not None
    assert there is not None
    link = passwords.issue_link(one, by=CLI, now=NOW)
    passwords.change(one, GOOD_PASSWORD, OTHER_PASSWORD, keep=here, now=NOW)
    assert signing_in.session(here, now=NOW) is one
    assert signing_in.session(there, now=NOW) is None
    with pytest.raises(LinkInvalidError):
        passwords.look_up_link(link, now=NOW)
    assert enter("prove", GOOD_PASSWORD) is None
    assert enter("prove", OTHER_PASSWORD) is not None
    passwords.change(one, OTHER_PASSWORD, GOOD_PASSWORD, now=NOW)
    assert signing_in.session(here, now=NOW) is None


def test_a_change_asks_for_the_present_password_and_a_good_new_one(app: Flask) -> None:
    one = factories.account("prove", password=GOOD_PASSWORD)
    with pytest.raises(PasswordWrongError):
        passwords.change(one, OTHER_PASSWORD, OTHER_PASSWORD, now=NOW)
    with pytest.raises(PasswordWeakError):
        passwords.change(one, GOOD_PASSWORD, "kort", now=NOW)
    assert enter("prove", GOOD_PASSWORD) is not None
    nobody = factories.account("nobody")
    with pytest.raises(PasswordWrongError):
        passwords.change(nobody, "", OTHER_PASSWORD, now=NOW)


def test_guessing_the_present_password_is_slowed_down_where_the_door_commits(app: Flask) -> None:
    with transaction():
        one = factories.account("prove", password=GOOD_PASSWORD)
    moment = NOW
    for _ in range(limits.MAX_PER_NAME):
        with transaction(), pytest.raises(PasswordWrongError):
            passwords.change(one, "galt", OTHER_PASSWORD, now=moment)
        moment += timedelta(seconds=65)
    with pytest.raises(limits.TooManyFailuresError):
        passwords.change(one, GOOD_PASSWORD, OTHER_PASSWORD, now=moment)
    assert factories.audited(action="people.password-refused")[9].subject == f"account:{one.id}"


def test_a_link_works_once_and_is_not_kept(app: Flask) -> None:
    one = factories.account("prove")
    token = passwords.issue_link(one, by=CLI, now=NOW)
    assert len(token) >= 43
    (stored,) = db.session.scalars(select(PasswordLink)).all()
    assert token not in repr(vars(stored))
    assert passwords.look_up_link(token, now=NOW) == LinkInfo("prove", "Prøve prove", is_first_admin=False)
    assert passwords.use_link(token, GOOD_PASSWORD, now=NOW) is one
    assert enter("prove", GOOD_PASSWORD) is not None
    with pytest.raises(LinkInvalidError):
        passwords.look_up_link(token, now=NOW)
    with pytest.raises(LinkInvalidError):
        passwords.use_link(token, OTHER_PASSWORD, now=NOW)
    assert token not in repr([(line.subject, line.fields) for line in factories.audited()])


def test_a_link_that_cannot_be_used_does_not_say_why(app: Flask) -> None:
    one, two = factories.account("one"), factories.account("two")
    used = passwords.issue_link(one, by=CLI, now=NOW)
    passwords.use_link(used, GOOD_PASSWORD, now=NOW)
    replaced = passwords.issue_link(two, by=CLI, now=NOW)
    short = passwords.issue_link(two, by=CLI, now=NOW, life=timedelta(hours=1))
    refusals = set()
    for token, now in (
        (used, NOW),
        (replaced, NOW),
        (short, NOW + timedelta(hours=1)),
        ("", NOW),
        ("å\ud800\x00", NOW),
    ):
        for attempt in (
            lambda token=token, now=now: passwords.look_up_link(token, now=now),
            lambda token=token, now=now: passwords.use_link(token, GOOD_PASSWORD, now=now),
        ):
            with pytest.raises(LinkInvalidError) as refusal:
                attempt()
            refusals.add(str(refusal.value))
    assert refusals == {"link-invalid()"}
    assert passwords.look_up_link(short, now=NOW + timedelta(minutes=59)).username == "two"


def test_a_weak_password_leaves_the_link_good(app: Flask) -> None:
    one = factories.account("prove")
    token = passwords.issue_link(one, by=CLI, now=NOW)
    with pytest.raises(PasswordWeakError):
        passwords.use_link(token, "prove prove 1", now=NOW)
    assert passwords.use_link(token, GOOD_PASSWORD, now=NOW).password_hash is not None


def test_a_password_chosen_by_link_ends_sessions_and_lets_the_locked_out_in_again(app: Flask) -> None:
    one = factories.account("prove", password=GOOD_PASSWORD)
    session = enter("prove", GOOD_PASSWORD)
    assert session is not None
    limits.note_failure(*[limits.name_subject("prove")] * limits.MAX_PER_NAME, now=NOW)
    assert enter("prove", GOOD_PASSWORD) is None
    passwords.use_link(passwords.issue_link(one, by=CLI, now=NOW), OTHER_PASSWORD, now=NOW)
    assert signing_in.session(session, now=NOW) is None
    assert enter("prove", OTHER_PASSWORD) is not None
    assert db.session.scalars(select(SignInFailure)).all() == []


def test_a_link_dies_with_the_account_it_is_for(app: Flask) -> None:
    one = factories.account("prove")
    token = passwords.issue_link(one, by=CLI, now=NOW)
    one.disabled_at = NOW  # as if the end of the account had not ended its links
    db.session.flush()
    with pytest.raises(LinkInvalidError):
        passwords.use_link(token, GOOD_PASSWORD, now=NOW)


def test_the_first_administrator_comes_by_the_newest_link_only(app: Flask) -> None:
    older = passwords.first_admin_link(now=NOW)
    newer = passwords.first_admin_link(now=NOW)
    assert older is not None
    assert newer is not None
    with pytest.raises(LinkInvalidError):
        passwords.look_up_link(older, now=NOW)
    assert passwords.look_up_link(newer, now=NOW) == LinkInfo(None, None, is_first_admin=True)
    made = passwords.use_link(newer, GOOD_PASSWORD, username="Sjef", name="Prøve Sjef", now=NOW)
    assert (made.username, made.name) == ("sjef", "Prøve Sjef")
    assert [(one.role, one.school_id) for one in made.grants] == [(Role.MUNICIPAL_ADMIN, None)]
    assert enter("sjef", GOOD_PASSWORD) is not None
    assert passwords.first_admin_link(now=NOW) is None
    told = [line.action for line in reversed(factories.audited())]
    assert told[-4:] == ["people.created", "people.granted", "people.password-chosen", "people.signed-in"]


def test_the_first_administrator_needs_a_name_and_a_password_without_it(app: Flask) -> None:
    with transaction():
        token = passwords.first_admin_link(now=NOW)
    assert token is not None
    with pytest.raises(PasswordWeakError, match="username"), transaction():
        passwords.use_link(token, "hei sjefen her", username="Sjef", name="Prøve", now=NOW)
    for username, name in ((None, "Prøve"), ("sjef", None), ("x y", "Prøve")):
        with pytest.raises(InvalidError, match="account"), transaction():
            passwords.use_link(token, GOOD_PASSWORD, username=username, name=name, now=NOW)
    assert passwords.look_up_link(token, now=NOW).is_first_admin
    assert db.session.scalars(select(Account)).all() == []


def test_a_first_administrators_link_is_worth_nothing_once_there_is_an_account(app: Flask) -> None:
    token = passwords.first_admin_link(now=NOW)
    assert token is not None
    factories.account("prove")
    with pytest.raises(LinkInvalidError):
        passwords.look_up_link(token, now=NOW)
    with pytest.raises(LinkInvalidError):
        passwords.use_link(token, GOOD_PASSWORD, username="sjef", name="Prøve", now=NOW)
    with pytest.raises(ConflictError, match="there are accounts"):
        passwords.issue_link(None, by=CLI, now=NOW)


def test_the_audit_names_no_token_and_no_one_typed(app: Flask) -> None:
    one = factories.account("prove", password=GOOD_PASSWORD)
    enter("hemmelig-navn", GOOD_PASSWORD)
    enter("prove", GOOD_PASSWORD)
    link = passwords.issue_link(one, by=CLI, now=NOW)
    passwords.use_link(link, OTHER_PASSWORD, now=NOW)
    told = repr([(line.actor_id, line.action, line.subject, line.fields) for line in factories.audited()])
    assert not re.search(r"hemmelig|prove|setning|192\.0", told)
    assert link not in told
