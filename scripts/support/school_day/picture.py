"""The day as a picture: load, latency, memory and lessons, drawn as reports draw their charts. An SVG of its own."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from fleet.reports.drawing import COLOURS, DASHES, Drawing, draw
from fleet.reports.paper import Curves
from fleet.reports.sheet import Drawn, Kind
from school_day.clock import shown
from school_day.crowd import QUARTER, Quarter
from school_day.day import Found, Sample
from school_day.figures import Spread

_WIDTH, _GAP, _HEAD = 900.0, 22.0, 26.0
_FONT = "font-family='Source Sans 3, Source Sans Pro, sans-serif'"


def svg(found: Found) -> str:
    """Return the picture."""
    wanted = found.wanted
    parts: list[str] = []
    y = _HEAD + 34
    for curves in _charts(found):
        drawing = draw(curves, _told, width=_WIDTH)
        parts.append(f"<g transform='translate(20 {y:.0f})'>{_title(curves.title)}{_shapes(drawing)}</g>")
        y += drawing.height + _GAP + 20
    words = (
        f"{wanted.tablets} tablets, {shown(wanted.begins)}-{shown(wanted.ends)} at {wanted.speed:g} times the speed, "
        f"{wanted.kind}, {found.workers} processes"
    )
    head = f"<text x='20' y='{_HEAD}' font-size='16' font-weight='600'>{escape(words)}</text>"
    size = f"width='{_WIDTH + 40:.0f}' height='{y:.0f}' viewBox='0 0 {_WIDTH + 40:.0f} {y:.0f}'"
    body = "".join(parts)
    ground = "<rect width='100%' height='100%' fill='#fff'/>"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} {_FONT}>{ground}{head}{body}</svg>\n"


def _charts(found: Found) -> list[Curves]:
    quarters = found.quarters
    quarter_s = QUARTER / found.wanted.speed
    labels = [shown(one.number * QUARTER) for one in quarters]

    def chart(title: str, series: Sequence[tuple[str, Callable[[Quarter], float | None]]]) -> Curves:
        figures = [(words, [of(one) for one in quarters]) for words, of in series]
        return Curves(title, Drawn.LINES, labels, "", figures, Kind.DECIMAL)

    def rate(*kinds: str) -> Callable[[Quarter], float]:
        return lambda one: sum(one.tally.answered[kind] for kind in kinds) / quarter_s

    return [
        chart("Tablets", [("open", lambda one: one.tally.awake), ("held at the server", lambda one: one.tally.held)]),
        chart(
            "Requests a second",
            [("polls", rate("poll", "held-poll")), ("reports", rate("report")), ("other", rate("fetch", "result"))],
        ),
        chart(
            "Latency of what is not held, ms",
            [("half within", lambda one: _ms(one, 50)), ("99 % within", lambda one: _ms(one, 99))],
        ),
        chart(
            "A lesson's start on present tablets, s",
            [("half within", lambda one: _lesson(one, 50)), ("95 % within", lambda one: _lesson(one, 95))],
        ),
        chart(
            "Cores in use",
            [
                ("server", lambda one: _cores(found, one, "server_cpu_s")),
                ("database", lambda one: _cores(found, one, "database_cpu_s")),
            ],
        ),
        chart("The server's memory, MiB", [("resident", lambda one: _memory(found, one))]),
    ]


def _ms(quarter: Quarter, percent: float) -> float | None:
    value = quarter.tally.all_latencies().at(percent)
    return None if value is None else 1000 * value


def _lesson(quarter: Quarter, percent: float) -> float | None:
    return quarter.tally.arrivals.get("start", Spread()).at(percent)


def _within(found: Found, quarter: Quarter) -> list[Sample]:
    begins = quarter.number * QUARTER
    return [one for one in found.samples if begins <= one.at < begins + QUARTER]


def _cores(found: Found, quarter: Quarter, of: str) -> float | None:
    samples = _within(found, quarter)
    if len(samples) < 2:
        return None
    passed = (samples[-1].at - samples[0].at) / found.wanted.speed
    return float(getattr(samples[-1], of) - getattr(samples[0], of)) / passed if passed else None


def _memory(found: Found, quarter: Quarter) -> float | None:
    samples = _within(found, quarter)
    return sum(one.memory_mib for one in samples) / len(samples) if samples else None


def _told(_kind: Kind, value: Any) -> str:
    return f"{value:.1f}"


def _title(words: str) -> str:
    return f"<text x='0' y='-4' font-size='13' font-weight='600'>{escape(words)}</text>"


def _shapes(drawing: Drawing) -> str:
    parts = ["<g transform='translate(0 8)'>"]
    for line in drawing.lines:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.points)
        look = "stroke='#d5d9df'"
        if line.series is not None:
            dash = ",".join(f"{one:g}" for one in DASHES[line.series % len(DASHES)])
            look = f"stroke='{COLOURS[line.series % len(COLOURS)]}' stroke-width='2'"
            look += f" stroke-dasharray='{dash}'" if dash else ""
        parts.append(f"<polyline points='{points}' fill='none' {look}/>")
    for one in drawing.texts:
        place = f"x='{one.x:.1f}' y='{one.y:.1f}' font-size='{one.size:g}' text-anchor='{one.anchor}'"
        parts.append(f"<text {place}>{escape(one.words)}</text>")
    return "".join([*parts, "</g>"])
