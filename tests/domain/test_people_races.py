"""Several at the same time, on connections of their own: one-time links, guesses, and the last two administrators."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from fleet.access import Principal, Role
from fleet.db import db, reading, transaction
from fleet.errors import ConflictError
from fleet.people import accounts, limits, passwords, signing_in
from fleet.people.models import Account, AccountGrant, PasswordLink, SignInFailure, SignInSession
from tests import factories
from tests.conftest import NOW
from tests.factories import GOOD_PASSWORD
from tests.races import together

CLI = Principal.command_line()
OTHER_PASSWORD = "en helt annen setning"


def count(app: Flask, model: type) -> int:
    with app.app_context(), reading():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_a_one_time_link_used_by_many_at_once_works_for_one(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        token = passwords.issue_link(factories.account("prove"), by=CLI, now=NOW)
    choices = [f"en lang setning nummer {number}" for number in range(8)]

    def use(choice: str) -> Callable[[], object]:
        return lambda: passwords.use_link(token, choice, now=NOW).id

    results = together(own_app, [use(choice) for choice in choices])
    winners = [choice for choice, result in zip(choices, results, strict=True) if isinstance(result, int)]
    losers = [result for result in results if not isinstance(result, int)]
    assert len(winners) == 1
    assert {type(result) for result in losers} == {passwords.LinkInvalidError}
    with own_app.app_context(), reading():
        stored = accounts.find("prove").password_hash
        assert [choice for choice in choices if passwords.verify(stored, choice)] == winners


def test_the_first_administrators_link_used_by_many_at_once_makes_one_account(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        token = passwords.first_admin_link(now=NOW)
        assert token is not None

    def use(number: int) -> Callable[[], object]:
        return lambda: passwords.use_link(token, GOOD_PASSWORD, username=f"sjef{number}", name="Prøve", now=NOW).id

    results = together(own_app, [use(number) for number in range(8)])
    assert sum(isinstance(result, int) for result in results) == 1
    assert {type(result) for result in results if not isinstance(result, int)} == {passwords.LinkInvalidError}
    assert count(own_app, Account) == count(own_app, AccountGrant) == 1


def test_servers_that_start_together_leave_one_good_link(own_app: Flask) -> None:
    tokens = together(own_app, [lambda: passwords.first_admin_link(now=NOW)] * 6)
    assert len(set(tokens)) == 6
    assert count(own_app, PasswordLink) == 1


def test_an_account_comes_before_or_after_the_first_administrator_but_never_beside(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        token = passwords.first_admin_link(now=NOW)
        assert token is not None
    results = together(
        own_app,
        [
            lambda: passwords.use_link(token, GOOD_PASSWORD, username="sjef", name="Prøve", now=NOW).username,
            lambda: accounts.create("prove", "Prøve", by=CLI, now=NOW).username,
        ],
    )
    if isinstance(results[0], passwords.LinkInvalidError):
        assert count(own_app, AccountGrant) == 0
        assert results[1] == "prove"
    else:
        assert results == ["sjef", "prove"]


def test_one_user_name_asked_for_by_many_at_once_is_one_account(own_app: Flask) -> None:
    results = together(own_app, [lambda: accounts.create("prove", "Prøve", by=CLI, now=NOW).id] * 6)
    assert sum(isinstance(result, int) for result in results) == 1
    assert {type(result) for result in results if not isinstance(result, int)} == {ConflictError}


@pytest.mark.parametrize("how", ["revoke", "disable"])
def test_the_last_two_administrators_cannot_remove_each_other_at_once(own_app: Flask, how: str) -> None:
    with own_app.app_context(), transaction():
        for name in ("one", "two"):
            factories.account(name, (Role.MUNICIPAL_ADMIN, None), password=GOOD_PASSWORD)

    def remove(name: str) -> Callable[[], object]:
        def do() -> None:
            account = accounts.find(name)
            if how == "disable":
                accounts.disable(account, by=CLI, now=NOW)
            else:
                accounts.revoke(account, Role.MUNICIPAL_ADMIN, by=CLI, now=NOW)

        return do

    results = together(own_app, [remove("one"), remove("two")])
    assert sorted(type(result).__name__ for result in results) == ["ConflictError", "NoneType"]


def test_a_role_given_by_many_at_once_is_given_once(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        factories.account("prove")

    def give() -> None:
        accounts.grant(accounts.find("prove"), Role.SCHOOL_IT, by=CLI, now=NOW)

    results = together(own_app, [give] * 5)
    assert results.count(None) == 1
    assert count(own_app, AccountGrant) == 1


def test_guesses_made_at_once_are_limited_like_those_made_in_turn(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        factories.account("prove", password=GOOD_PASSWORD)
        limits.note_failure(*[limits.name_subject("prove")] * 9, now=NOW)

    def guess(number: int) -> Callable[[], object]:
        later = NOW + timedelta(minutes=5)
        return lambda: signing_in.sign_in("prove", f"galt {number}", address=f"192.0.2.{number}", now=later)

    results = together(own_app, [guess(number) for number in range(8)])
    errors = [result.error for result in results if isinstance(result, signing_in.Refused)]
    assert len(errors) == 8
    assert sum(isinstance(error, signing_in.SignInRefusedError) for error in errors) == 1
    assert count(own_app, SignInFailure) == 9 + 2


def test_no_session_on_the_old_password_outlives_a_new_one(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        token = passwords.issue_link(factories.account("prove", password=GOOD_PASSWORD), by=CLI, now=NOW)
    tasks: list[Callable[[], object]] = [
        lambda: signing_in.sign_in("prove", GOOD_PASSWORD, address="192.0.2.1", now=NOW)
    ] * 3
    tasks.insert(1, lambda: passwords.use_link(token, OTHER_PASSWORD, now=NOW).id)
    results = together(own_app, tasks)
    assert isinstance(results[1], int)
    assert count(own_app, SignInSession) == 0
