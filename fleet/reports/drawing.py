"""Charts as shapes: where lines, bars and their texts lie. The page and the PDF draw the same ones.

Pure. Scales begin at zero, so that what looks like half is half; what has no figure is a gap. Series differ by colour
and by dash, and each stands beside its numbers in a table.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.reports.paper import Curves
from fleet.reports.sheet import Drawn, Kind

COLOURS = ("#0b5cad", "#b3470c", "#2f7d4f", "#7a3e9d", "#5c6470")  # of the first series, and so on
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 3), (2, 2), (9, 3, 2, 3), (1, 3))
LETTER = 0.62  # of a text's size: how wide a letter is at most, about
_SIZE, _SMALL = 11.0, 10.0
_BAR, _GAP = 15.0, 8.0
_LABEL_SIGNS = 30
_DECIMAL = re.compile(r"[.,]0(?=\D|$)")


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points; ``series`` chooses its look, None: an axis or a grid's line."""

    points: Sequence[tuple[float, float]]
    series: int | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    series: int


@dataclass(frozen=True, slots=True)
class Text:
    """A text on its base line; ``anchor`` is start, middle or end."""

    x: float
    y: float
    words: str
    size: float
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes in units of the drawing's own, the origin at the top left."""

    width: float
    height: float
    lines: Sequence[Line]
    bars: Sequence[Bar]
    texts: Sequence[Text]


@dataclass(slots=True)
class _Sketch:
    """What has been drawn so far."""

    lines: list[Line]
    bars: list[Bar]
    texts: list[Text]
    text: Callable[[Kind, Any], str]
    kind: Kind

    def told(self, value: float) -> str:
        """Return a figure as a text."""
        return self.text(self.kind, value)

    def tick(self, value: float) -> str:
        """Return a round figure as a text, without its decimal."""
        return _DECIMAL.sub("", self.told(value))


def draw(curves: Curves, text: Callable[[Kind, Any], str], *, width: float = 640) -> Drawing:
    """Return a chart's shapes.

    Args:
        curves: the chart.
        text: makes a figure a text.
        width: of the drawing; its height follows.
    """
    sketch = _Sketch([], [], [], text, curves.kind)
    top = _legend(sketch, curves, width) if len(curves.series) > 1 else 6.0
    if curves.drawn is Drawn.BARS:
        height = _lying(sketch, curves, width, top)
    else:
        height = top + 190
        _standing(sketch, curves, width, (top, height))
    return Drawing(width, height, sketch.lines, sketch.bars, sketch.texts)


def _legend(sketch: _Sketch, curves: Curves, width: float) -> float:
    """Say which series is which; returns where the drawing itself begins."""
    x, y = 0.0, 12.0
    for number, (words, _figures) in enumerate(curves.series):
        wide = 34 + len(words) * _SIZE * LETTER + 18
        if x and x + wide > width:
            x, y = 0.0, y + 18
        if curves.drawn is Drawn.LINES:
            sketch.lines.append(Line([(x, y - 4), (x + 26, y - 4)], number))
        else:
            sketch.bars.append(Bar(x + 8, y - 9, 11, 11, number))
        sketch.texts.append(Text(x + 32, y, words, _SIZE))
        x += wide
    return y + 16


def steps(highest: float, *, is_share: bool) -> list[float]:
    """Return the figures at the scale's lines, from zero to one that is not below the highest."""
    if is_share:
        return [0.0, 0.25, 0.5, 0.75, 1.0]
    if highest <= 4:
        return [float(one) for one in range(max(1, math.ceil(highest)) + 1)]
    rough = highest / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= rough and (one != 2.5 or power >= 10))
    return [step * number for number in range(math.ceil(highest / step) + 1)]


def _highest(curves: Curves) -> float:
    if curves.drawn is Drawn.STACKS:
        return max((sum(one or 0 for one in column) for column in zip(*_figures(curves), strict=True)), default=0)
    return max((one for figures in _figures(curves) for one in figures if one is not None), default=0)


def _figures(curves: Curves) -> list[Sequence[float | None]]:
    return [figures for _words, figures in curves.series]


def _standing(sketch: _Sketch, curves: Curves, width: float, span: tuple[float, float]) -> None:
    """Draw lines or standing bars, above labels that are as many as there is room for."""
    scale = steps(_highest(curves), is_share=curves.kind is Kind.SHARE)
    margin = max(len(sketch.tick(one)) for one in scale) * _SMALL * LETTER + 8
    top, bottom = span[0] + 4, span[1] - 24
    left, right = margin, width - 14

    def height(value: float) -> float:
        return bottom - (bottom - top) * value / scale[-1]

    for one in scale:
        sketch.lines.append(Line([(left, height(one)), (right, height(one))]))
        sketch.texts.append(Text(left - 6, height(one) + 3.5, sketch.tick(one), _SMALL, "end"))
    count = len(curves.labels)
    is_lines = curves.drawn is Drawn.LINES
    step = (right - left) / max(1, count - 1 if is_lines else count)
    places = [left + (number if is_lines else number + 0.5) * step for number in range(count)]
    _labels(sketch, curves, places, bottom + 16)
    if is_lines:
        for number, figures in enumerate(_figures(curves)):
            told = [(x, height(one)) if one is not None else None for x, one in zip(places, figures, strict=True)]
            sketch.lines.extend(Line(run, number) for run in _runs(told))
        return
    wide = min(step * 0.72, 46)
    for place, x in enumerate(places):
        base = 0.0
        for number, figures in enumerate(_figures(curves)):
            value = figures[place] or 0
            if value:
                y = height(base + value)
                sketch.bars.append(Bar(x - wide / 2, y, wide, height(base) - y, number))
            base += value


def _labels(sketch: _Sketch, curves: Curves, places: Sequence[float], y: float) -> None:
    """Write so many of the labels that they do not touch, the first and the last among them where they can be."""
    longest = max((len(one) for one in curves.labels), default=0) * _SMALL * LETTER + 14
    room = (places[-1] - places[0]) if len(places) > 1 else 0.0
    shown = max(1, min(len(places), int(room // longest) + 1))
    every = math.ceil((len(places) - 1) / max(1, shown - 1)) if shown > 1 else len(places)
    for number in range(0, len(places), max(1, every)):
        anchor = "start" if number == 0 and len(places) > 1 and curves.drawn is Drawn.LINES else "middle"
        is_last = number == len(places) - 1 and number > 0 and curves.drawn is Drawn.LINES
        x = places[number] + (14 if is_last else 0)
        sketch.texts.append(Text(x, y, curves.labels[number], _SMALL, "end" if is_last else anchor))


def _runs(told: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """Return points in runs without a gap; one alone becomes a short stroke."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in told:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run if len(run) > 1 else [run[0], (run[0][0] + 1, run[0][1])] for run in runs if run]


def _lying(sketch: _Sketch, curves: Curves, width: float, top: float) -> float:
    """Draw a lying bar for each label, with its figure behind it; returns the drawing's height."""
    labels = [one if len(one) <= _LABEL_SIGNS else f"{one[: _LABEL_SIGNS - 1]}\u2026" for one in curves.labels]
    margin = max((len(one) for one in labels), default=0) * _SIZE * LETTER + 10
    figures = _figures(curves)[0]
    widest = max((len(sketch.told(one)) for one in figures if one is not None), default=1) * _SIZE * LETTER + 10
    highest = 1.0 if curves.kind is Kind.SHARE else max(1.0, _highest(curves))
    y = top
    for label, value in zip(labels, figures, strict=True):
        sketch.texts.append(Text(margin - 8, y + _BAR - 4, label, _SIZE, "end"))
        if value is not None:
            long = max(1.0 if value else 0.0, (width - margin - widest) * value / highest)
            sketch.bars.append(Bar(margin, y, long, _BAR, 0))
            sketch.texts.append(Text(margin + long + 6, y + _BAR - 4, sketch.told(value), _SIZE))
        y += _BAR + _GAP
    sketch.lines.append(Line([(margin, top - 2), (margin, y - _GAP + 2)]))
    return y
