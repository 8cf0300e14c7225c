"""What is refused of rules and findings, as sentences; see :mod:`fleet.cli.refusals`."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Data, Words, always, see


def _expression(data: Data) -> str:
    """Say what is wrong with an expression, and at which character."""
    found, expected = data.get("found"), data.get("expected")
    told = {
        "empty": "there is nothing in it",
        "long": "it is too long",
        "deep": "it is nested too deep",
        "many": "it has too many parts",
        "literal": f"{found} is no JSON: write text as 'text', numbers and true or false as `1`, `true`",
        "unclosed": f"{found} is not closed",
        "sign": f"{found} has no meaning here",
        "word": f"{found} was not expected here",
        "incomplete": "it ends too early",
        "not-offered": f"{found} cannot be used here: no lists or objects are made",
        "function": f"there is no function {found}",
        "arguments": f"{found} needs {expected} things",
        "field": f"there is no field {found}",
        "step": "a step of 0 leads nowhere",
        "negation": "write !( … ) around what is denied",
    }.get(str(data.get("reason")), "it cannot be read")
    hints = {"word", "incomplete", "function", "field"}
    near = f" ({expected}?)" if expected is not None and data.get("reason") in hints else ""
    position = data.get("position")
    where = f"character {position + 1}" if isinstance(position, int) else "somewhere"
    return f"{data.get('field', 'expression')}, {where}: {told}{near}"


def _rule(data: Data) -> str:
    field, reason, most = data.get("field"), data.get("reason"), data.get("most")
    told = {
        ("title", "empty"): "a rule of one's own needs a title: --title",
        ("title", "long"): f"a rule's title has at most {most} characters",
        ("title", "taken"): "another rule has this title",
        ("grace_min", "range"): f"a grace is 0 to {most} minutes",
        ("school_ids", "none"): "name a school, or leave --school out for all",
        ("school_ids", "unknown"): f"one of the schools is none: {see('schools list')} lists them",
        ("platforms", "none"): "name a platform, or leave --platform out for all",
        ("shows", "many"): f"findings keep at most {most} values",
        ("rules", "many"): f"there are {most} rules of your own already: remove one first",
    }
    return told.get((str(field), str(reason)), f"{field} cannot be so: {reason}")


def _snooze(data: Data) -> str:
    school = f" at {data.get('school')}" if data.get("school") else ""
    told = {
        "past": f"school has begun{school} on {data.get('on')}: name a later day",
        "no-school-day": f"{data.get('on')} is no day of school{school}: name another",
        "far": f"{data.get('on')} is too far away: name a day within 200 days",
    }
    return told.get(str(data.get("reason")), f"{data.get('on')} cannot be")


BY_CODE: Mapping[str, Words] = MappingProxyType(
    {
        "expression": _expression,
        "expression-limit": always("the condition takes too long: have it look at less"),
        "rule-invalid": _rule,
        "trial-running": always("another draft is being tried right now: try again in a moment"),
        "rule-changed": lambda data: (
            f"somebody else has changed {data.get('name')} meanwhile (version {data.get('version')}): look at it again"
        ),
        "snooze-day": _snooze,
        "note-too-long": lambda data: f"a note has at most {data.get('most')} characters, not {data.get('length')}",
        "finding-over": lambda data: (
            f"finding {data.get('name')} cannot be opened again: its reason is over, or nobody closed it by hand"
        ),
    }
)

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("not-found", "rule"): lambda data: (
            f"no rule is called {data.get('name')}; rules: {', '.join(data.get('known') or ())}"
        ),
        ("not-found", "finding"): lambda data: (
            f"there is no finding {data.get('name')}: {see('findings list')} lists them"
        ),
    }
)
