"""``fleet people``: accounts, roles and one-time links from the server's own command line."""

import json
import re

import click
import pytest
from click.testing import CliRunner
from flask import Flask

from fleet import clock
from fleet.access import Role
from fleet.cli import main
from fleet.cli.output import Program
from fleet.db import reading, transaction
from fleet.people import passwords
from fleet.schools.queries import find_school
from tests import factories
from tests.factories import GOOD_PASSWORD


def run(app: Flask, *words: str, code: int = 0) -> click.testing.Result:
    done = CliRunner().invoke(main, ["people", *words], obj=Program(lambda: app, lambda: None))
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done


def token_in(text: str) -> str:
    found = re.search(r"http://fleet\.test/password/([\w-]{43})\b", text)
    assert found is not None
    return found[1]


@pytest.fixture
def kjenn(app: Flask) -> str:
    with transaction():
        return factories.school("Kjenn skole").name


def test_the_first_administrator_gets_a_link_and_later_nobody_does(app: Flask) -> None:
    token = token_in(run(app, "first-admin").output)
    with transaction():
        passwords.use_link(token, GOOD_PASSWORD, username="sjef", name="Prøve Sjef", now=clock.now())
    refused = run(app, "first-admin", code=1)
    assert refused.stderr == (
        "fleet: there are accounts already: make more with `scripts/fleet people create`, or a new link for one with "
        "`scripts/fleet people link NAME`\n"
    )
    assert refused.stdout == ""


def test_a_new_account_has_its_role_and_a_link_that_works(app: Flask, kjenn: str) -> None:
    shown = run(app, "create", "Prove", "--name", "Prøve Lærer", "--role", "teacher", "--school", "kjenn skole").stdout
    assert shown.startswith("account prove (teacher at Kjenn skole)\nlink to choose a password, good once, until 20")
    with reading():
        info = passwords.look_up_link(token_in(shown), now=clock.now())
    assert (info.username, info.name) == ("prove", "Prøve Lærer")
    (row,) = json.loads(run(app, "list", "--json").output)
    assert (row["username"], row["has_password"], row["in_roster"]) == ("prove", False, False)
    assert [(grant["role"], grant["school"]) for grant in row["grants"]] == [("teacher", "Kjenn skole")]
    assert "/password/" not in json.dumps(row)


def test_a_new_account_as_json_has_the_link(app: Flask) -> None:
    made = json.loads(run(app, "create", "prove", "--name", "Prøve", "--json").output)
    assert made["grants"] == []
    assert token_in(made["link"])
    assert made["link_expires_at"] > made["created_at"]
    assert run(app, "create", "other", "--name", "Prøve").output.startswith("account other (no role yet)\n")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--name", "Prøve", "--role", "teacher"], 1, "needs a school"),
        (["--name", "Prøve", "--role", "teacher", "--school", "Kjen skole"], 3, "Kjenn skole"),
        (["--name", "Prøve", "--school", "Kjenn skole"], 2, "give --role too"),
        (["--name", "Prøve", "--role", "king"], 2, "municipal-admin"),
        (["--name", " "], 1, "1 to 120 characters"),
        ([], 2, "--name"),
    ],
)
def test_an_account_that_cannot_be_made_is_refused_whole(
    app: Flask, kjenn: str, words: list[str], code: int, text: str
) -> None:
    assert text in run(app, "create", "prove", *words, code=code).stderr
    assert json.loads(run(app, "list", "--json").output) == []


def test_roles_are_given_and_taken(app: Flask, kjenn: str) -> None:
    with transaction():
        factories.account("prove")
    assert (
        run(app, "grant", "prove", "--role", "school-it", "--school", kjenn).output
        == "prove is school-it at Kjenn skole\n"
    )
    assert run(app, "grant", "prove", "--role", "municipal-admin").output == "prove is municipal-admin everywhere\n"
    listed = run(app, "list").output.splitlines()
    assert listed[0].split() == ["username", "name", "roles", "language", "has_password", "disabled_at"]
    assert "municipal-admin, school-it at Kjenn skole" in listed[1]
    assert "school-it at Kjenn skole" in run(app, "show", "prove").output
    assert (
        "is not school-it at Kjenn skole any more"
        in run(app, "revoke", "prove", "--role", "school-it", "--school", kjenn).output
    )
    assert "last municipal administrator" in run(app, "revoke", "prove", "--role", "municipal-admin", code=1).stderr
    with transaction():
        factories.account("other", (Role.MUNICIPAL_ADMIN, None))
    assert "everywhere any more" in run(app, "revoke", "prove", "--role", "municipal-admin").output
    assert json.loads(run(app, "show", "PROVE", "--json").output)["grants"] == []


def test_a_role_at_a_school_that_ended_still_shows(app: Flask) -> None:
    with transaction():
        gone = factories.school("Nedlagt skole")
        factories.account("prove", (Role.TEACHER, gone))
        gone.ended_at = clock.now()
        number = gone.id
    assert f"teacher at {number}" in run(app, "list").output


def test_an_account_is_disabled_and_enabled_and_gets_a_new_link(app: Flask) -> None:
    with transaction():
        factories.account("prove")
    older = token_in(run(app, "link", "prove").output)
    newer = token_in(run(app, "link", "prove").output)
    with reading():
        assert passwords.look_up_link(newer, now=clock.now()).username == "prove"
        with pytest.raises(passwords.LinkInvalidError):
            passwords.look_up_link(older, now=clock.now())
    assert run(app, "disable", "prove").output == "prove is disabled\n"
    assert "already disabled" in run(app, "disable", "prove", code=1).stderr
    assert "disabled" in run(app, "link", "prove", code=1).stderr
    assert json.loads(run(app, "show", "prove", "--json").output)["disabled_at"] is not None
    assert run(app, "enable", "prove").output == "prove is enabled\n"
    assert json.loads(run(app, "show", "prove", "--json").output)["disabled_at"] is None


def test_a_teacher_whom_the_roster_does_not_have_is_made_with_a_warning(app: Flask, kjenn: str) -> None:
    where = ["--role", "teacher", "--school", kjenn]
    made = run(app, "create", "prove", "--name", "Prøve", *where)
    assert "the roster has no teacher with the user name prove, so this account sees no class yet" in made.stderr
    with transaction():
        factories.account("eldre")
        factories.employee("kjent", find_school(kjenn))
    assert "the user name eldre" in run(app, "grant", "eldre", *where).stderr
    assert run(app, "create", "kjent", "--name", "Prøve", *where).stderr == ""
    assert run(app, "create", "it", "--name", "Prøve", "--role", "school-it", "--school", kjenn).stderr == ""


def test_school_it_is_given_everywhere_only_where_that_is_said(app: Flask, kjenn: str) -> None:
    with transaction():
        factories.account("prove")
    for words in (["create", "ny", "--name", "Prøve"], ["grant", "prove"]):
        silent = run(app, *words, "--role", "school-it", code=2)
        assert "--school NAME, or --everywhere" in silent.stderr
        both = run(app, *words, "--role", "school-it", "--school", kjenn, "--everywhere", code=2)
        assert "either --school or --everywhere" in both.stderr
        run(app, *words, "--role", "school-it", "--everywhere")
    grants = [row["grants"] for row in json.loads(run(app, "list", "--json").output)]
    assert [[(one["role"], one["school"]) for one in each] for each in grants] == [[("school-it", None)]] * 2
    run(app, "create", "x2", "--name", "Prøve", "--everywhere", code=2)


@pytest.mark.parametrize("verb", ["show", "link", "disable", "enable"])
def test_an_unknown_account_is_not_found_and_the_nearest_is_named(app: Flask, verb: str) -> None:
    with transaction():
        factories.account("provesen")
    refused = run(app, verb, "provsen", code=3)
    assert "provesen" in refused.stderr
    assert refused.stdout == ""
