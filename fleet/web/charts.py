"""Trend lines and charts, drawn by the server: shapes only, always beside the same in numbers.

Pure. A day without a figure is a gap, never a zero; the scale begins at zero, so that what looks like half is half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from fleet.reports import drawing
from fleet.reports.drawing import DASHES, Drawing
from fleet.reports.paper import Curves, Paper

WIDTH, HEIGHT = 300, 56  # of the drawing, in its own units
_EDGE = 4  # so that the line's own width and the last point stay inside
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Spark:
    """A trend line.

    Args:
        line: the path of the line, a stretch for each run of days that have figures.
        area: the path of what lies under it.
        weekends: where Saturdays and Sundays lie: left edge and width.
        end: where the newest figure lies, None where there is none.
        lowest: the lowest figure.
        highest: the highest figure.
    """

    line: str
    area: str
    weekends: Sequence[tuple[float, float]]
    end: tuple[float, float] | None
    lowest: int
    highest: int


def spark(figures: Mapping[date, int], *, until: date, days: int = 30) -> Spark | None:
    """Return the line of a figure over days; None where fewer than two days have one: that is no trend.

    Args:
        figures: by day; others than the days shown do not count.
        until: the last day.
        days: how many are shown.
    """
    shown = [until - timedelta(days=back) for back in reversed(range(days))]
    told = [(place, figures[on]) for place, on in enumerate(shown) if on in figures]
    if len(told) < 2:
        return None
    step = (WIDTH - 2 * _EDGE) / (days - 1)
    highest = max(figure for _place, figure in told)
    points = [(place, _EDGE + place * step, _height(figure, highest)) for place, figure in told]
    runs = _runs(points)
    weekends = [(_EDGE + (place - 0.5) * step, step) for place, on in enumerate(shown) if on.weekday() >= _SATURDAY]
    return Spark(
        line=" ".join(f"M{_joined(run)}" for run in runs),
        area=" ".join(f"M{run[0][0]:.1f} {HEIGHT} L{_joined(run)} L{run[-1][0]:.1f} {HEIGHT} Z" for run in runs),
        weekends=[(round(max(0.0, left), 1), round(width, 1)) for left, width in weekends],
        end=(round(points[-1][1], 1), round(points[-1][2], 1)),
        lowest=min(figure for _place, figure in told),
        highest=highest,
    )


def _height(figure: int, highest: int) -> float:
    return HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * figure / max(1, highest)


def _runs(points: Sequence[tuple[int, float, float]]) -> list[list[tuple[float, float]]]:
    """Return the points in runs of days that follow each other."""
    runs: list[list[tuple[float, float]]] = []
    before = -2
    for place, x, y in points:
        if place != before + 1:
            runs.append([])
        runs[-1].append((x, y))
        before = place
    return runs


def _joined(run: Sequence[tuple[float, float]]) -> str:
    """Return a run's points as a path has them; one alone is a stroke of no length, which round ends make a dot."""
    told = " L".join(f"{x:.1f} {y:.1f}" for x, y in run)
    return told if len(run) > 1 else f"{told} h0"


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart of a report: its shapes, and the same in rows of texts."""

    curves: Curves
    drawn: Drawing
    rows: Sequence[Sequence[str]]


def pictures(paper: Paper) -> list[Picture]:
    """Return the charts of a report as the page draws them."""
    return [Picture(one, drawing.draw(one, paper.text), _rows(one, paper)) for one in paper.charts]


def _rows(curves: Curves, paper: Paper) -> list[list[str]]:
    figures = [told for _words, told in curves.series]
    return [
        [label, *(paper.text(curves.kind, one[place]) for one in figures)] for place, label in enumerate(curves.labels)
    ]


def path(points: Sequence[tuple[float, float]]) -> str:
    """Return a line's points as an SVG path has them."""
    return f"M{' L'.join(f'{x:.1f} {y:.1f}' for x, y in points)}"


def dash(series: int) -> str:
    """Return how a series' line is broken, so that colour is not all that tells it apart."""
    return " ".join(f"{one:g}" for one in DASHES[series % len(DASHES)])
