"""A rule as it is typed in a form, and back: what is typed is kept as it is typed until it is right."""

from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug.datastructures import MultiDict

from fleet.compliance.expressions import ExpressionError, check
from fleet.compliance.models import Severity
from fleet.compliance.rules import Rule
from fleet.compliance.ruling import MAX_GRACE_MIN, MAX_TITLE, Draft
from fleet.devices.models import Platform
from fleet.web.refusals_rules import Faults
from fleet.web.texts import translated as _
from fleet.web.values import whole
from fleet.web.words_rules import DAY_MIN, HOUR_MIN

MAX_TEXT = 1_000
UNITS = {"minutes": 1, "hours": HOUR_MIN, "days": DAY_MIN}
_SEVERITIES = {one.value: one for one in Severity}
_PLATFORMS = {one.value: one for one in Platform}


@dataclass(frozen=True, slots=True)
class Typed:
    """The form's fields as texts; ``schools`` and ``platforms`` are ticked, ``version`` is what it was made from."""

    title: str = ""
    condition: str = ""
    stays: str = ""
    shows: str = ""
    grace: str = "0"
    unit: str = "minutes"
    severity: str = Severity.WARNING
    reach: str = "all"
    schools: tuple[int, ...] = ()
    platforms: tuple[str, ...] = ()
    version: str = ""
    serial: str = ""

    @staticmethod
    def of(rule: Rule) -> "Typed":
        """Return a rule as it is typed."""
        unit = "minutes"
        if rule.grace_min:
            unit = next(name for name in ("days", "hours", "minutes") if rule.grace_min % UNITS[name] == 0)
        return Typed(
            title=rule.title or "",
            condition=rule.condition,
            stays=rule.stays or "",
            shows="\n".join(text for _name, text in rule.shows) if not rule.is_shipped else "",
            grace=str(rule.grace_min // UNITS[unit]),
            unit=unit,
            severity=rule.severity,
            reach="all" if rule.school_ids is None else "some",
            schools=tuple(rule.school_ids or ()),
            platforms=tuple(rule.platforms if rule.platforms is not None else _PLATFORMS),
            version=str(rule.version),
        )

    @staticmethod
    def read(form: "MultiDict[str, str]") -> "Typed":
        """Return what a form says."""
        schools = [whole(one) for one in form.getlist("school")]
        return Typed(
            title=form.get("title", "").strip()[: MAX_TITLE * 2],
            condition=_text(form, "condition"),
            stays=_text(form, "stays"),
            shows=_text(form, "shows"),
            grace=form.get("grace", "").strip()[:9],
            unit=form.get("unit", ""),
            severity=form.get("severity", ""),
            reach=form.get("reach", ""),
            schools=tuple(one for one in schools if one is not None),
            platforms=tuple(one for one in form.getlist("platform") if one in _PLATFORMS),
            version=form.get("version", "")[:9],
            serial=form.get("serial", "").replace("\0", "").strip()[:64],
        )

    def expression(self, field: str) -> str:
        """Return what is typed into a field that holds an expression."""
        return {"stays": self.stays, "shows": self.shows}.get(field, self.condition)

    def start_of_fault(self, field: str) -> int:
        """Return where in a field the expression begins that is none: of values to show each line is one."""
        start = 0
        for line in self.shows.split("\n") if field == "shows" else ():
            inner = start + len(line) - len(line.lstrip())
            try:
                if line.strip():
                    check(line.strip())
            except ExpressionError:
                return inner
            start += len(line) + 1
        return 0

    def draft(self, rule: Rule | None) -> Draft | Faults:
        """Return the rule that is typed, or what is wrong by the field's name; the domain looks at the rest.

        Args:
            rule: the rule that is changed, None for a new one.
        """
        faults: Faults = {}
        if rule is None or not rule.is_shipped:
            faults |= _title_fault(self.title)
        if not self.condition.strip():
            faults["condition"] = _("Write a condition.")
        minutes = _minutes(self.grace, self.unit)
        if minutes is None:
            faults["grace"] = _("Write a number, at most %(number)s days in all.", number=MAX_GRACE_MIN // DAY_MIN)
        if self.severity not in _SEVERITIES:
            faults["severity"] = _("Choose how much it matters.")
        if self.reach == "some" and not self.schools:
            faults["schools"] = _("Choose at least one school, or all.")
        if not self.platforms:
            faults["platforms"] = _("Choose at least one kind of tablet.")
        if faults:
            return faults
        return Draft(
            code=rule.code if rule is not None else None,
            title=None if rule is not None and rule.is_shipped else self.title,
            condition=self.condition,
            stays=self.stays if self.stays.strip() else None,
            shows=tuple(line.strip() for line in self.shows.splitlines() if line.strip()),
            grace_min=minutes or 0,
            severity=_SEVERITIES[self.severity],
            school_ids=frozenset(self.schools) if self.reach == "some" else None,
            platforms=None
            if set(self.platforms) == set(_PLATFORMS)
            else frozenset(_PLATFORMS[p] for p in self.platforms),
        )


def _text(form: Mapping[str, str], name: str) -> str:
    return form.get(name, "")[: MAX_TEXT * 2].replace("\r\n", "\n").replace("\0", "")


def _title_fault(title: str) -> Faults:
    if 1 <= len(title) <= MAX_TITLE and title.isprintable():
        return {}
    return {"title": _("Write a title of at most %(number)s characters.", number=MAX_TITLE)}


def _minutes(told: str, unit: str) -> int | None:
    count = whole(told or "0")
    if count is None or unit not in UNITS or count * UNITS[unit] > MAX_GRACE_MIN:
        return None
    return count * UNITS[unit]
