"""In which language a page speaks: the account's, else the one chosen in this browser, else the browser's own."""

from pathlib import Path

from flask import Flask, redirect, request
from flask import session as cookie
from flask_babel import Babel
from werkzeug.wrappers import Response

from fleet import clock
from fleet.config import Config
from fleet.db import transaction
from fleet.errors import InvalidError
from fleet.people import accounts
from fleet.web import signed_in, texts
from fleet.web.blueprint import public, web
from fleet.web.places import own_page
from fleet.web.texts import locale

TRANSLATIONS = Path(__file__).parent / "translations"
NAMES = {"nb": "Bokmål", "nn": "Nynorsk", "en": "English"}
_DEFAULT = "nb"
# Browsers say no, nb-NO, nn-NO, en-GB …; the old "no" means Bokmål.
_ASKED = {"no": "nb", "nb": "nb", "nn": "nn", "en": "en"}


def install(app: Flask) -> None:
    """Give pages and texts their language and the schools' local time."""
    config: Config = app.extensions["fleet_config"]
    Babel(
        app,
        default_locale=_DEFAULT,
        default_timezone=config.timezone.key,
        default_translation_directories=str(TRANSLATIONS),
        locale_selector=selected,
    )
    texts.install(app)
    app.context_processor(lambda: {"language": code(), "languages": NAMES, "theme": theme()})


def selected() -> str:
    """Return the language of this request's pages."""
    found = signed_in.account()
    chosen = (found.language if found is not None else None) or cookie.get("language")
    if chosen in NAMES:
        return str(chosen)
    for asked, _ in request.accept_languages:
        known = _ASKED.get(asked.replace("_", "-").partition("-")[0].lower())
        if known is not None:
            return known
    return _DEFAULT


def theme() -> str:
    """Return whether pages are ``light``, ``dark``, or (``auto``) as the browser is."""
    found = signed_in.account()
    chosen = found.theme if found is not None else None
    return chosen if chosen in {"light", "dark"} else "auto"


def code() -> str:
    """Return the code of the language in use."""
    return locale().language


@web.post("/language")
@public
def choose_language() -> Response:
    """Remember a language: for the account where somebody is signed in, else for this browser."""
    wanted = request.form.get("language", "")
    if wanted not in NAMES:
        raise InvalidError(kind="language", expected=", ".join(NAMES))
    found = signed_in.account()
    if found is not None and found.language != wanted:
        with transaction():
            accounts.set_language(found, wanted, now=clock.now())
    cookie["language"] = wanted
    return redirect(own_page(request.form.get("next")))
