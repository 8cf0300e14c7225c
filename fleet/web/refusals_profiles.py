"""What profiles and assignments refuse, in words, with what to do; told on the page the person is on."""

from collections.abc import Mapping
from typing import Any

from flask_babel import ngettext

from fleet.assignments import undoing
from fleet.assignments.effect import WifiLostError
from fleet.assignments.publishing import DraftChangedError
from fleet.errors import ConflictError, FleetError, InvalidError, NotFoundError
from fleet.web import words_profiles
from fleet.web.texts import translated as _
from profiles.profile import Fault
from profiles.vocabulary import VOCABULARY


def told(error: FleetError) -> str | None:
    """Return a refusal in words; None where the page for errors is to tell it."""
    if isinstance(error, DraftChangedError):
        return _("Somebody else has changed this profile since you opened it. Nothing of yours was saved.")
    if isinstance(error, WifiLostError):
        return str(
            ngettext(
                "%(num)d tablet would lose the only Wi-Fi it knows. Write the number of tablets if that is right.",
                "%(num)d tablets would lose the only Wi-Fi they know. Write the number of tablets if that is right.",
                error.data["tablets"],
            )
        )
    if isinstance(error, NotFoundError) and error.data.get("kind") == "draft":
        return _("There is no draft any more: somebody has published or discarded it.")
    if isinstance(error, ConflictError | InvalidError):
        return _by_kind(error.data)
    return None


def not_undone(error: FleetError) -> str | None:
    """Return in words why something was not undone; None where the page for errors is to tell it."""
    if isinstance(error, WifiLostError):
        return str(
            ngettext(
                "It was not undone: %(num)d tablet would lose the only Wi-Fi it knows.",
                "It was not undone: %(num)d tablets would lose the only Wi-Fi they know.",
                error.data["tablets"],
            )
        )
    return told(error)


def _by_kind(data: Mapping[str, Any]) -> str | None:
    told = {
        ("draft", "there is a draft already"): _("There is a draft already. Publish or discard it first."),
        ("profile", "there is no draft to publish"): _(
            "There is no draft any more: somebody has published or discarded it."
        ),
        ("assignment", "ends before it starts"): _("The end must come after the beginning, and after now."),
        ("assignment", undoing.CHANGED): _(
            "It was not undone: somebody has changed it since. Look at what applies now."
        ),
        ("assignment", "it does not apply any more"): _("The assignment has ended already."),
    }
    kind, reason = str(data.get("kind")), str(data.get("reason"))
    if kind == "profile" and reason.startswith("the draft says"):
        return _("The draft says just what the published version says. There is nothing to publish.")
    return told.get((kind, reason))


def status(error: FleetError) -> int:
    """Return the status of a page that tells a refusal."""
    return 400 if isinstance(error, InvalidError) else 409


def of_text(fault: Fault) -> str:
    """Say what is wrong in a profile that somebody wrote as a text, without repeating what is secret."""
    known = VOCABULARY.get(fault.key or "")
    if fault.code == "unknown-key":
        near = _("Did you mean %(name)s?", name=fault.nearest) if fault.nearest else ""
        words = _("There is no setting called %(name)s.", name=fault.key) + (f" {near}" if near else "")
    elif fault.code == "syntax":
        words = _("This cannot be read. Look at quotes, brackets and equals signs.")
    elif fault.code == "too-large":
        words = _("The text is too long.")
    elif fault.key == "name":
        words = _("name: lower-case letters, digits and hyphens, such as barneskole.")
    elif fault.key == "title":
        words = _("title: a title of 1 to 120 characters.")
    elif known is not None:
        words = f"{known.name}: {words_profiles.expected(known.kind)}"
    else:
        words = _("This is not what the setting can be.")
    return _("Line %(number)s: %(words)s", number=fault.line, words=words) if fault.line else words
