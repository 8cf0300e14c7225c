"""Signing in and out, choosing a password, the language, and what keeps strangers from doing it for others."""

import re
from datetime import timedelta

import argon2
import pytest
from flask import Flask

from fleet import clock
from fleet.access import Principal, Role
from fleet.db import db, transaction
from fleet.people import accounts, passwords
from fleet.people.models import Account, PasswordLink, SignInSession
from tests import factories, visiting
from tests.visiting import PASSWORD, Visitor

SESSION = "fleet"


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    with transaction():
        factories.account("kari.prøve", (Role.MUNICIPAL_ADMIN, None), password=PASSWORD)
    return Visitor(app)


def link(*, first: bool, life: timedelta = timedelta(days=2)) -> str:
    with transaction():
        account = None if first else accounts.find("kari.prøve")
        return passwords.issue_link(account, by=Principal.command_line(), now=clock.now(), life=life)


def test_stranger_is_sent_to_the_sign_in_and_back_afterwards(visitor: Visitor) -> None:
    sent = visitor.get("/tablets/ABC?x=1")
    assert sent.status_code == 302
    assert sent.location == "/sign-in?next=/tablets/ABC?x%3D1"
    assert visitor.sign_in("Kari.PRØVE", next="/tablets/ABC?x=1").location == "/tablets/ABC?x=1"


def test_wrong_name_and_wrong_password_get_the_same_answer(visitor: Visitor) -> None:
    answers = [visitor.sign_in("kari.prøve", "feil passord her"), visitor.sign_in("kari.prove", "feil passord her")]
    assert [answer.status_code for answer in answers] == [401, 401]
    pages = [re.sub(r'value="[^"]*"', "", answer.text) for answer in answers]
    assert pages[0] == pages[1]
    assert "Feil brukernavn eller passord." in pages[0]


def test_password_is_never_sent_back(visitor: Visitor) -> None:
    assert "feil passord her" not in visitor.sign_in("kari.prøve", "feil passord her").text


def test_many_failures_are_told_to_wait_with_a_time(visitor: Visitor) -> None:
    answers = [visitor.sign_in("kari.prøve", "feil passord her") for _ in range(4)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert "Prøv igjen om" in answers[-1].text
    assert visitor.sign_in("kari.prøve").status_code == 429  # the right password has to wait too


def test_failures_from_one_address_count_together(app: Flask, visitor: Visitor) -> None:
    stranger = Visitor(app, REMOTE_ADDR="192.0.2.7")
    statuses = {stranger.sign_in(f"navn{number}", "feil passord her").status_code for number in range(51)}
    assert statuses == {401, 429}
    assert visitor.sign_in("kari.prøve").status_code == 303


def test_forwarded_address_of_a_stranger_is_not_believed(app: Flask, visitor: Visitor) -> None:
    stranger = Visitor(app, REMOTE_ADDR="192.0.2.7")
    for number in range(50):
        stranger.sign_in(f"navn{number}", "feil passord her")
    sent = {"csrf_token": stranger.token(), "username": "x1", "password": "feil passord her"}
    with app.app_context():
        answer = stranger.client.post(
            "/sign-in",
            data=sent,
            environ_overrides={"REMOTE_ADDR": "192.0.2.7"},
            headers={"X-Forwarded-For": "203.0.113.9"},
        )
    assert answer.status_code == 429


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/language", "/password/x"])
@pytest.mark.parametrize("token", ["", "forged"])
def test_form_without_the_token_of_this_session_is_refused(visitor: Visitor, path: str, token: str) -> None:
    visitor.sign_in("kari.prøve")
    assert visitor.post(path, token=token, language="en").status_code == 400
    assert visitor.get("/").status_code == 200  # still signed in


def test_token_of_another_session_is_refused(app: Flask, visitor: Visitor) -> None:
    foreign = Visitor(app).token()
    assert visitor.post("/sign-in", token=foreign, username="kari.prøve", password=PASSWORD).status_code == 400


def test_signing_in_changes_cookie_and_token(visitor: Visitor) -> None:
    before = visitor.token()
    planted = visitor.client.get_cookie(SESSION)
    visitor.sign_in("kari.prøve")
    after = visitor.client.get_cookie(SESSION)
    assert planted is not None
    assert after is not None
    assert planted.value != after.value
    assert visitor.token("/") != before


def test_signing_in_again_ends_the_earlier_session_of_this_browser(visitor: Visitor) -> None:
    visitor.sign_in("kari.prøve")
    visitor.post("/sign-in", page="/", username="kari.prøve", password=PASSWORD)
    assert db.session.query(SignInSession).count() == 1
    assert visitor.get("/").status_code == 200


def test_cookie_copied_before_signing_out_is_worth_nothing_after(app: Flask, visitor: Visitor) -> None:
    visitor.sign_in("kari.prøve")
    cookie = visitor.client.get_cookie(SESSION)
    assert cookie is not None
    thief = Visitor(app)
    thief.client.set_cookie(SESSION, cookie.value)
    assert thief.get("/").status_code == 200
    assert visitor.post("/sign-out", page="/").location == "/sign-in"
    assert "Du er logget ut." in visitor.get("/sign-in").text
    assert thief.get("/").status_code == 302


def test_signing_out_by_a_link_is_not_possible(visitor: Visitor) -> None:
    visitor.sign_in("kari.prøve")
    assert visitor.get("/sign-out").status_code == 405
    assert visitor.get("/").status_code == 200


def test_role_taken_away_is_gone_with_the_next_request(visitor: Visitor) -> None:
    with transaction():
        school = factories.school("Prøveskolen")
        factories.account("andre", (Role.MUNICIPAL_ADMIN, None), password=PASSWORD)
    visitor.sign_in("kari.prøve")
    assert visitor.get(f"/schools/{school.id}").status_code == 200
    with transaction():
        cli = Principal.command_line()
        accounts.revoke(accounts.find("kari.prøve"), Role.MUNICIPAL_ADMIN, by=cli, now=clock.now())
    assert visitor.get(f"/schools/{school.id}").status_code == 404


def test_page_that_refreshes_itself_is_told_to_load_again_when_the_session_ends(visitor: Visitor) -> None:
    answer = visitor.refresh("/")
    assert answer.status_code == 401
    assert answer.headers["HX-Refresh"] == "true"
    assert "password" not in answer.text


def test_refreshing_does_not_count_as_use_but_loading_does(visitor: Visitor) -> None:
    visitor.sign_in("kari.prøve")
    long_ago = clock.now() - timedelta(hours=2)
    with transaction():
        db.session.query(SignInSession).update({SignInSession.last_used_at: long_ago})
    assert visitor.refresh("/").status_code == 200
    assert db.session.query(SignInSession.last_used_at).scalar() == long_ago
    db.session.rollback()
    assert visitor.get("/").status_code == 200
    assert db.session.query(SignInSession.last_used_at).scalar() > long_ago


@pytest.mark.parametrize(
    "told",
    [
        "https://evil.example/", "//evil.example/", "///evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
        "http:evil.example", "/%2fevil.example", "/%5cevil.example", "/\t/evil.example", "/ /evil.example", "data:text/html,x",
        "/sign-in?next=//evil.example", "/static/x/fleet.css", "http://[::1", "evil.example", "/unknown", "", "/./../..//evil.example",
        "//fleet.test@evil.example/", "/language",
    ],
)  # fmt: skip
def test_after_signing_in_one_only_comes_to_own_pages(visitor: Visitor, told: str) -> None:
    first = "/" if told else "/setup"  # the server is empty, and nothing was asked for
    assert visitor.sign_in("kari.prøve", next=told).location == first
    assert visitor.get("/sign-in", query_string={"next": told}).location == first
    assert visitor.post("/language", page="/", language="nb", next=told).location == "/"


def test_a_page_keeps_all_of_its_query_whatever_it_is_called(app: Flask) -> None:
    visiting.build(app)
    visitor = Visitor(app)
    for told in (
        "/?endpoint=x",
        "/?method=POST&values=1",
        "/tablet-actions/ring?id=1&id=2",
        "/tablets?q=bl%C3%A5+perm",
    ):
        assert visitor.post("/language", page="/sign-in", language="nn", next=told).location == told


def test_first_administrator_chooses_name_and_password_and_signs_in(app: Flask) -> None:
    visitor = Visitor(app)
    path = f"/password/{link(first=True)}"
    page = visitor.get(path)
    assert page.status_code == 200
    assert "Den første administratoren" in page.text
    chosen = {
        "name": "Prøve Sjef",
        "username": "sjef",
        "password": "fem røde epler i dag",
        "again": "fem røde epler i dag",
    }
    assert visitor.post(path, page=path, **chosen).location == "/sign-in"
    assert "Passordet er lagret." in visitor.get("/sign-in").text
    assert visitor.sign_in("sjef", "fem røde epler i dag").location == "/setup"
    assert visitor.get(path).status_code == 404
    assert visitor.post(path, page="/", **chosen).status_code == 404


def test_looking_at_a_link_or_a_refused_password_does_not_use_it_up(visitor: Visitor) -> None:
    path = f"/password/{link(first=False)}"
    for _ in range(3):
        assert visitor.get(path).status_code == 200
    refused = [
        ({"password": "kort", "again": "kort"}, "Passordet må ha minst 12 tegn."),
        ({"password": "fem røde epler", "again": "fem grønne epler"}, "De to passordene er ikke like."),
        ({"password": "kari.prøve og litt til", "again": "kari.prøve og litt til"}, "inneholde brukernavnet"),
        ({"password": "passord12345", "again": "passord12345"}, "lett å gjette"),
        ({"password": "aaaaaaaaaaaaaa", "again": "aaaaaaaaaaaaaa"}, "gjentar de samme tegnene"),
        ({"password": "x y" * 200, "again": "x y" * 200}, "høyst 256 tegn"),
    ]
    for form, words in refused:
        answer = visitor.post(path, page=path, **form)
        assert (answer.status_code, words in answer.text) == (400, True), words
    good = {"password": "fem røde epler i dag", "again": "fem røde epler i dag"}
    assert visitor.post(path, page=path, **good).status_code == 303
    assert visitor.sign_in("kari.prøve", "fem røde epler i dag").location == "/setup"


@pytest.mark.parametrize(
    ("field", "value", "words"), [("username", "a b", "Brukernavnet kan ha"), ("name", " ", "Skriv navnet")]
)
def test_first_administrator_is_told_which_name_is_no_good(app: Flask, field: str, value: str, words: str) -> None:
    visitor = Visitor(app)
    path = f"/password/{link(first=True)}"
    form = {"name": "Prøve", "username": "sjef", "password": "fem røde epler", "again": "fem røde epler", field: value}
    answer = visitor.post(path, page=path, **form)
    assert (answer.status_code, words in answer.text) == (400, True)
    assert db.session.query(Account).count() == 0


def test_unknown_used_and_expired_links_look_the_same(visitor: Visitor) -> None:
    token = link(first=False)
    with transaction():
        db.session.query(PasswordLink).update({PasswordLink.expires_at: clock.now() - timedelta(seconds=1)})
    expired, unknown = visitor.get(f"/password/{token}"), visitor.get("/password/unknown")
    assert (expired.status_code, unknown.status_code) == (404, 404)
    plain = [re.sub(r'value="[^"]*"', "", answer.text) for answer in (expired, unknown)]
    assert plain[0] == plain[1]


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ("nb-NO,nb;q=0.9", "nb", "Logg inn"), ("nn-NO", "nn", "Brukarnamn"), ("en-GB", "en", "Sign in"), ("no", "nb", "Brukernavn"),
        ("de,fr;q=0.5", "nb", "Brukernavn"), ("se,nn;q=0.9,en;q=0.1", "nn", "Brukarnamn"), ("", "nb", "Brukernavn"),
    ],
)  # fmt: skip
def test_page_speaks_the_browsers_language(visitor: Visitor, asked: str, code: str, words: str) -> None:
    page = visitor.get("/sign-in", headers={"Accept-Language": asked})
    assert f'<html lang="{code}"' in page.text
    assert words in page.text


def test_chosen_language_stays_with_the_account_in_every_browser(app: Flask, visitor: Visitor) -> None:
    assert visitor.post("/language", language="en", next="/sign-in").location == "/"
    assert '<html lang="en"' in visitor.get("/sign-in").text
    visitor.sign_in("kari.prøve")
    assert '<html lang="en"' in visitor.get("/").text  # what was chosen before signing in stays
    assert visitor.post("/language", page="/", language="nn", next="/tablets/A?b=c").location == "/tablets/A?b=c"
    assert '<html lang="nn"' in visitor.get("/").text
    another = Visitor(app)
    another.sign_in("kari.prøve")
    assert '<html lang="nn"' in another.get("/").text


def test_unknown_language_is_refused(visitor: Visitor) -> None:
    assert visitor.post("/language", language="xx").status_code == 400
    assert '<html lang="nb"' in visitor.get("/sign-in").text


def test_no_transaction_is_open_while_a_password_is_compared(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    was_open: list[bool] = []
    real = argon2.PasswordHasher.verify

    def watching(self: argon2.PasswordHasher, stored: str, password: bytes) -> bool:
        was_open.append(db.session().in_transaction())
        return real(self, stored, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", watching)
    assert visitor.sign_in("kari.prøve", "feil passord her").status_code == 401
    assert visitor.sign_in("ingen", "feil passord her").status_code == 401
    assert visitor.sign_in("kari.prøve").status_code == 303
    assert was_open == [False] * 3


def test_an_attempt_that_comes_too_early_costs_no_hash_and_no_write(
    visitor: Visitor, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        visitor.sign_in("kari.prøve", "feil passord her")
    monkeypatch.delattr(argon2.PasswordHasher, "verify")
    token = visitor.token()
    statements.clear()
    assert visitor.post("/sign-in", token=token, username="kari.prøve", password=PASSWORD).status_code == 429
    assert [one.split()[0] for one in statements] == ["SELECT"]
