"""A school year of 7,000 tablets through the steps of silence; what is assumed stands in :mod:`tests.silence_world`.

The figures are printed whenever it is run: how well it goes is worth seeing, not only that it goes well enough.
"""

import pytest

from tests.silence_world import THEFTS, World
from tests.silence_year import Year, figures

SEED = 1  # the first; how others fare, tests.silence_seeds prints and decision 0016 says


def test_a_school_year_finds_thefts_and_flags_no_holiday(capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(Year(World(SEED)).run())
    with capsys.disabled():
        print(f"\na school year of silence, seed {SEED}:\n{found.told()}")  # noqa: T201
    # One theft of twenty found late costs five hundredths: what many years together reach stands in decision 0016.
    assert found.precision >= 0.95
    assert found.recall >= 0.95
    assert found.recall_slips >= 0.9
    assert (found.by_holidays, found.of_heard) == (0, 0)
    assert set(found.per_outage) == {1}
    assert found.of_short == 0
    assert set(found.of_server) == {1}


@pytest.mark.parametrize("by_it", [True, False])
def test_what_becomes_of_thefts_when_teachers_never_answer(capsys: pytest.CaptureFixture[str], *, by_it: bool) -> None:
    found = figures(Year(World(SEED, tablets=1_500), by_teachers=False, by_it=by_it).run())
    with capsys.disabled():
        print(f"\n1,500 tablets, no teacher answers, the school's IT {'does' if by_it else 'neither'}:\n{found.told()}")  # noqa: T201
    assert found.found >= THEFTS - 2
    assert (found.by_holidays, found.of_heard) == (0, 0)
    assert found.recall < 0.95 if not by_it else found.recall > 0.5
