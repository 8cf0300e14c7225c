"""What every answer carries, how the cookie is kept, how files are served, and what errors show."""

import gzip
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, abort
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from fleet.access import Role
from fleet.app import create_app
from fleet.db import db, transaction
from fleet.errors import BrakedError, ConflictError, FleetError, ForbiddenError, InvalidError, NotFoundError
from fleet.people.limits import TooManyFailuresError
from fleet.web import errors
from tests import factories
from tests.visiting import PASSWORD, Visitor

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    with transaction():
        factories.account("admin", (Role.MUNICIPAL_ADMIN, None), password=PASSWORD)
    return Visitor(app)


@pytest.fixture
def https_app(tmp_path: Path) -> Iterator[Flask]:
    """Return an application whose address is https; it needs no tables for what is looked at."""
    app = create_app(environ={"FLEET_DATA_DIR": str(tmp_path), "FLEET_PUBLIC_URL": "https://nettbrett.example.no"})
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.mark.parametrize("path", ["/sign-in", "/", "/unknown", "/password/x", "/static/x/fleet.css", "/sign-out"])
def test_every_answer_carries_the_headers(visitor: Visitor, path: str) -> None:
    headers = visitor.get(path).headers
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in headers  # plain http: a test or a network of one's own
    if not path.startswith("/static"):
        assert headers["Cache-Control"] == "no-store"


def test_page_has_nothing_inline_that_the_policy_would_stop(visitor: Visitor) -> None:
    visitor.sign_in("admin")
    page = visitor.get("/").text
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count("<script src=") == 2


def test_cookie_is_out_of_reach_of_scripts_and_other_sites(visitor: Visitor) -> None:
    cookie = visitor.get("/sign-in").headers["Set-Cookie"]
    assert cookie.startswith("fleet=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Domain" not in cookie


def test_cookie_over_https_is_bound_to_this_host(https_app: Flask) -> None:
    answer = https_app.test_client().get("/sign-in", base_url="https://nettbrett.example.no")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-fleet=")
    assert "; Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_signed_cookie_of_another_server_is_nobodys(app: Flask, visitor: Visitor, tmp_path: Path) -> None:
    visitor.sign_in("admin")
    forger = create_app(environ={"FLEET_DATA_DIR": str(tmp_path), "FLEET_PUBLIC_URL": "http://fleet.test"})
    serializer = forger.session_interface.get_signing_serializer(forger)  # type: ignore[attr-defined]
    thief = Visitor(app)
    thief.client.set_cookie("fleet", serializer.dumps({"_user_id": "anything"}))
    assert thief.get("/").status_code == 302
    with forger.app_context():
        db.engine.dispose()


def test_file_under_its_hash_is_kept_for_ever_and_under_another_not(app: Flask, visitor: Visitor) -> None:
    with app.test_request_context():
        address = app.jinja_env.globals["asset"]("fleet.css")  # type: ignore[operator]
    answer = visitor.get(address)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.mimetype == "text/css"
    assert "Set-Cookie" not in answer.headers
    assert visitor.get("/static/000000000000/fleet.css").headers["Cache-Control"] == "no-cache"
    packed = visitor.get(address, headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == answer.data


def test_pages_name_every_file_by_its_hash(visitor: Visitor) -> None:
    page = visitor.get("/sign-in").text
    assert "/missing/" not in page  # scripts/setup has put the design system in its place
    assert page.count('="/static/') == 6


@pytest.mark.parametrize(
    "path",
    ["/static/x/../web.py", "/static/x/vendor/made", "/static/x/%2e%2e/assets.py", "/static/x/none.css", "/static/x/"],
)
def test_nothing_else_is_served(visitor: Visitor, path: str) -> None:
    assert visitor.get(path).status_code == 404


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (NotFoundError(kind="school", name="hemmelig"), 404, "Finnes ikke"),
        (ForbiddenError(permission="edit-profiles"), 403, "Ikke tilgang"),
        (ConflictError(kind="account"), 409, "Ikke mulig nå"),
        (BrakedError(share=0.5), 409, "Ikke mulig nå"),
        (InvalidError(kind="x"), 400, "Ikke forstått"),
        (TooManyFailuresError(retry_after_s=17), 429, "For mange forsøk"),
        (FleetError(), 400, "Ikke forstått"),
    ],
)
def test_each_refusal_of_the_domain_has_its_page(app: Flask, error: FleetError, status: int, words: str) -> None:
    with app.test_request_context(
        "/sign-in", headers={"Accept-Language": "nb"}, environ_overrides={"HTTP_X_REQUEST_ID": "abc123"}
    ):
        page, code, headers = errors.refused(error)
    assert code == status
    assert words in page
    assert "abc123" in page
    assert "hemmelig" not in page
    assert headers.get("Retry-After") == ("17" if status == 429 else None)


def test_errors_of_the_web_have_pages_too(visitor: Visitor) -> None:
    assert (visitor.get("/unknown").status_code, "Finnes ikke" in visitor.get("/unknown").text) == (404, True)
    wrong = visitor.get("/sign-out")
    assert (wrong.status_code, set(wrong.headers["Allow"].split(", "))) == (405, {"OPTIONS", "POST"})
    assert visitor.get("/schools/abc").status_code in {302, 404}
    large = visitor.post("/sign-in", username="a" * 70_000)
    assert (large.status_code, "For stort" in large.text) == (413, True)


def _fail() -> str:
    raise LookupError("a secret of ours")


def test_own_fault_shows_the_requests_id_and_nothing_of_the_fault(
    app: Flask, visitor: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    visitor.sign_in("admin")
    monkeypatch.setitem(app.view_functions, "web.overview", _fail)
    with caplog.at_level(logging.ERROR):
        answer = visitor.get("/", headers={"X-Request-Id": "req-17"})
    assert answer.status_code == 500
    assert "Noe gikk galt" in answer.text
    assert "req-17" in answer.text
    assert "secret" not in answer.text
    assert "a secret of ours" in caplog.text


def test_database_that_is_away_or_too_busy_still_gives_a_page_and_says_when_to_come_again(
    app: Flask, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    visitor.sign_in("admin")
    engine = db.engine.engine

    def fail(*_args: object) -> None:
        raise OperationalError("SELECT", {}, Exception("away"))

    event.listen(engine, "before_cursor_execute", fail)
    try:
        answer = visitor.get("/")
    finally:
        event.remove(engine, "before_cursor_execute", fail)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Noe gikk galt" in answer.text
    assert "away" not in answer.text
    assert visitor.get("/").status_code == 200


def test_wait_of_a_refusal_made_elsewhere_is_told(app: Flask) -> None:
    with app.test_request_context("/"), pytest.raises(Exception, match="429") as caught:
        abort(429)
    with app.test_request_context("/"):
        _page, status, headers = errors.not_served(caught.value)  # type: ignore[arg-type]
    assert (status, headers["Retry-After"]) == (429, "60")
