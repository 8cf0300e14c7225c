"""What is refused of rules and of findings, in words, by the field it belongs to; told on the page one is on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from fleet.compliance.acting import MAX_NOTE, FindingOverError, NoteTooLongError, SnoozeDayError
from fleet.compliance.expressions import MAX_LENGTH, ExpressionError
from fleet.compliance.ruling import MAX_OWN, MAX_SHOWN, MAX_TITLE, RuleInvalidError
from fleet.compliance.trying import TrialRunningError
from fleet.errors import ConflictError, FleetError, NotFoundError
from fleet.web.formats import day
from fleet.web.texts import translated as _

Faults = dict[str, str]
Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Caret:
    """Where something is wrong in a text of several lines: its field, its place, and its line in three parts."""

    field: str
    at: int
    line: int
    column: int
    before: str
    wrong: str
    after: str


def of_rule(error: FleetError) -> Faults | None:
    """Return a refusal of a rule as faults by field, ``""`` where it is of none; None where it is told elsewhere."""
    if isinstance(error, ExpressionError):
        return {_field(error.data): ""}  # the place is told with the words: see with_place
    if isinstance(error, RuleInvalidError):
        return _invalid(error.data)
    if isinstance(error, TrialRunningError):
        return {"": _("Another draft is being tried on all tablets right now. Try again in a moment.")}
    if isinstance(error, NotFoundError) and error.data.get("kind") == "tablet":
        several = _("Several tablets have this asset tag. Type the serial.")
        return {"serial": several if error.data.get("reason") else _("No tablet has this serial or asset tag.")}
    return None


def _field(data: Data) -> str:
    return str(data.get("field") or "condition")


_NAMES = {"grace_min": "grace", "school_ids": "schools", "rules": ""}  # what the form calls a field


def _invalid(data: Data) -> Faults:
    field = str(data["field"])
    known = {
        "title": _("Another rule has this title. Choose another one.")
        if data.get("reason") == "taken"
        else _("Write a title of at most %(number)s characters.", number=MAX_TITLE),
        "grace_min": _("That is too long to wait."),
        "school_ids": _("One of the schools is not there any more. Choose again."),
        "shows": _("At most %(number)s values can be shown. Leave some out.", number=MAX_SHOWN),
        "rules": _("There are %(number)s rules of your own already. Remove one first.", number=MAX_OWN),
    }
    return {_NAMES.get(field, field): known.get(field, _("Something is missing. Look at the form again."))}


def status(error: FleetError) -> int:
    """Return the status of a page that tells a refusal."""
    if isinstance(error, NotFoundError):
        return 404
    return 409 if isinstance(error, ConflictError) else 400


def caret(error: ExpressionError, text: str, start_of_it: int = 0) -> Caret:
    """Return where in a text an expression is wrong.

    Args:
        error: the refusal.
        text: what stands in the field.
        start_of_it: where in the field the expression begins that was refused.
    """
    at = min(max(start_of_it + int(error.data["position"]), 0), len(text))
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : end if end >= 0 else len(text)]
    column = at - start
    wrong = line[column : column + max(int(error.data["length"]), 0)]
    after = line[column + len(wrong) :]
    return Caret(_field(error.data), at, text.count("\n", 0, at) + 1, column + 1, line[:column], wrong, after)


def with_place(error: ExpressionError, at: Caret) -> str:
    """Say what is wrong with an expression, and where: readers of the screen hear the same as others see."""
    told = expression(error.data)
    if at.line > 1:
        return _("Line %(line)s, character %(column)s: %(told)s", line=at.line, column=at.column, told=told)
    return _("Character %(column)s: %(told)s", column=at.column, told=told)


def expression(data: Data) -> str:
    """Say what is wrong with an expression."""
    found, expected = data.get("found"), data.get("expected")
    known = {
        "empty": _("there is nothing here. Write what is to be found."),
        "long": _("the text is too long: %(number)s characters at most.", number=MAX_LENGTH),
        "deep": _("there are too many brackets or parts inside each other. Make it simpler."),
        "many": _("the text has too many parts. Make two rules of it."),
        "literal": _("%(found)s is no value. Between two ` stands a number, true, false, null or a list.", found=found),
        "unclosed": _("what begins with %(found)s here has no end.", found=found),
        "sign": _("the sign “%(found)s” has no meaning here.", found=found),
        "word": _("“%(found)s” does not fit here.", found=found),
        "incomplete": _("something is missing here."),
        "not-offered": _("a condition cannot make lists or objects of its own."),
        "function": _("there is no function “%(found)s”.", found=found),
        "arguments": _("“%(found)s” is given too little or too much.", found=found),
        "field": _("tablets have no field “%(found)s”.", found=found),
        "negation": _("here only the first name is negated. Put what is meant in brackets: !(a.b)."),
        "step": _("a list cannot be gone through in steps of 0."),
    }  # fmt: skip
    told = known.get(str(data.get("reason")), known["word"])
    if not expected:
        return told
    hints = {
        "function": _("Did you mean “%(expected)s”?", expected=expected),
        "field": _("Did you mean “%(expected)s”?", expected=expected),
        "arguments": _("It needs at least %(expected)s.", expected=expected),
        "word": _("A “%(expected)s” is expected.", expected=expected),
        "incomplete": _("A “%(expected)s” is expected.", expected=expected),
        "unclosed": _("A “%(expected)s” is expected.", expected=expected),
    }
    hint = hints.get(str(data.get("reason")))
    return f"{told} {hint}" if hint else told


def of_findings(error: FleetError) -> Faults | None:
    """Return a refusal of what was to be done about findings, by field; None where it is told elsewhere."""
    if isinstance(error, SnoozeDayError):
        return {"until": _of_day(error.data)}
    if isinstance(error, NoteTooLongError):
        return {"note": _("A note has at most %(number)s characters.", number=MAX_NOTE)}
    if isinstance(error, FindingOverError):
        return {"": _("Its reason is over, so there is nothing to open again.")}
    return None


def _of_day(data: Data) -> str:
    on, school = day(date.fromisoformat(data["on"])), data.get("school")
    return {
        "past": _("School has begun that day already. Choose a later day."),
        "far": _("That is too far ahead. Choose a day within 200 days."),
    }.get(
        str(data["reason"]),
        _("There is no school on %(day)s at %(school)s. Choose a school day.", day=on, school=school)
        if school
        else _("There is no school on %(day)s. Choose a school day.", day=on),
    )
