"""Saying no to mails by the link in one, without signing in.

Looking at the link changes nothing, as mail servers look at links before people do; only the form does, or the button
that a mail program shows by itself.

Source: RFC 8058 (List-Unsubscribe-Post: the program posts to the address, with no cookie and no forgery token).
"""

from flask import current_app, render_template

from fleet import clock
from fleet.alerts import unsubscribing
from fleet.alerts.unsubscribing import PATH, Wish
from fleet.config import Config
from fleet.db import transaction
from fleet.errors import NotFoundError
from fleet.web.blueprint import from_outside, public, web


@web.get(f"{PATH}<token>")
@public
def unsubscribe(token: str) -> str | tuple[str, int]:
    """Ask whether one would rather not hear of this any more."""
    try:
        return _page(unsubscribing.read(token, key=_key()), token)
    except NotFoundError:
        return _no_good()


@web.post(f"{PATH}<token>")
@public
@from_outside
def unsubscribe_now(token: str) -> str | tuple[str, int]:
    """Say no; the signature in the link is what allows it."""
    try:
        with transaction():
            wish = unsubscribing.unsubscribe(token, key=_key(), now=clock.now())
            return _page(wish, token, is_done=True)
    except NotFoundError:
        return _no_good()


def _key() -> bytes:
    config: Config = current_app.extensions["fleet_config"]
    return unsubscribing.key_of(config.secrets_dir)


def _page(wish: Wish, token: str, *, is_done: bool = False) -> str:
    return render_template("unsubscribe.html", topics=wish.topics, token=token, is_done=is_done)


def _no_good() -> tuple[str, int]:
    return render_template("unsubscribe.html", topics=None, token="", is_done=False), 404
