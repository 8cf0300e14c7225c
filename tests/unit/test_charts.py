"""The small trend lines: where points lie, what is a gap, and when there is no trend to draw."""

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.web.charts import HEIGHT, WIDTH, Spark, spark

UNTIL = date(2026, 9, 14)  # a Monday
_POINT = re.compile(r"(-?\d+\.\d) (-?\d+(?:\.\d)?)")


def drawn(figures: dict[int, int], days: int = 30) -> Spark | None:
    """Draw figures given by how many days ago they were counted."""
    return spark({UNTIL - timedelta(days=back): figure for back, figure in figures.items()}, until=UNTIL, days=days)


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in _POINT.findall(path)]


@pytest.mark.parametrize("figures", [{}, {0: 5}, {30: 1, 31: 2}, {-1: 3, 0: 4}, {0: 7, 30: 9}])
def test_fewer_than_two_days_in_sight_are_no_trend(figures: dict[int, int]) -> None:
    assert drawn(figures) is None


def test_line_runs_from_edge_to_edge_and_its_scale_begins_at_zero() -> None:
    found = drawn({2: 0, 1: 5, 0: 10}, days=3)
    assert found is not None
    assert found.line == "M4.0 52.0 L150.0 28.0 L296.0 4.0"
    assert found.area == "M4.0 56 L4.0 52.0 L150.0 28.0 L296.0 4.0 L296.0 56 Z"
    assert (found.end, found.lowest, found.highest) == ((296.0, 4.0), 0, 10)


def test_figures_that_are_all_alike_lie_at_the_top_and_zeros_at_the_bottom() -> None:
    high, low = drawn({1: 900, 0: 900}, days=2), drawn({1: 0, 0: 0}, days=2)
    assert high is not None
    assert low is not None
    assert [y for _x, y in points(high.line)] == [4.0, 4.0]
    assert [y for _x, y in points(low.line)] == [52.0, 52.0]


def test_day_without_a_figure_is_a_gap_and_a_day_alone_a_dot() -> None:
    found = drawn({4: 2, 3: 2, 1: 1, 0: 2}, days=5)
    assert found is not None
    assert found.line.count("M") == found.area.count("Z") == 2
    dotted = drawn({4: 2, 2: 2}, days=5)
    assert dotted is not None
    assert dotted.line == "M4.0 4.0 h0 M150.0 4.0 h0"
    assert dotted.end == (150.0, 4.0)


def test_weekends_are_the_saturdays_and_sundays_and_stay_inside() -> None:
    found = drawn({1: 1, 0: 1}, days=8)  # from Monday to Monday
    assert found is not None
    step = round((WIDTH - 8) / 7, 1)
    assert [width for _left, width in found.weekends] == [step, step]
    assert [left for left, _width in found.weekends] == pytest.approx([4 + 4.5 * step, 4 + 5.5 * step], abs=0.5)
    begins = spark({UNTIL: 1, UNTIL - timedelta(days=1): 1}, until=UNTIL, days=2)
    assert begins is not None
    assert begins.weekends[0][0] == 0.0  # a Sunday at the very edge is cut, not drawn outside


@given(st.dictionaries(st.integers(-3, 40), st.integers(0, 10_000), min_size=2))
def test_whatever_is_counted_is_drawn_inside_with_a_point_for_each_day(figures: dict[int, int]) -> None:
    shown = {back: figure for back, figure in figures.items() if 0 <= back < 30}
    found = drawn(figures)
    assert (found is None) == (len(shown) < 2)
    if found is not None:
        assert len(points(found.line)) == len(shown)
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points(found.line))
        assert (found.lowest, found.highest) == (min(shown.values()), max(shown.values()))
        assert found.end == points(found.line)[-1]
