"""Many municipalities: in which waves they are upgraded, and which figures can be told. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.devices.models import Platform
from fleet.errors import InvalidError, NotFoundError
from fleet.municipalities.figures import OTHER, SMALL, Figures, part, systems, together, total
from fleet.municipalities.waves import waves

NAMES = [f"k{number:02}" for number in range(20)]


def test_one_goes_first_and_the_others_in_shares_of_all() -> None:
    planned = waves(NAMES, "25%", canary="k07")
    assert [len(one) for one in planned] == [1, 5, 5, 5, 4]
    assert planned[0] == ["k07"]
    assert sorted(name for one in planned for name in one) == NAMES
    assert [len(one) for one in waves(NAMES, "1%", canary=None)] == [1] * 20
    assert waves(NAMES, "k03, k02,k03", canary=None) == [["k03"], ["k02"]]
    assert waves(["alone"], "100%", canary=None) == [["alone"]]
    assert waves([], "5%", canary=None) == []


@pytest.mark.parametrize("wave", ["0%", "101%", "", ","])
def test_what_is_no_wave_is_refused(wave: str) -> None:
    with pytest.raises(InvalidError):
        waves(NAMES, wave, canary=None)


@pytest.mark.parametrize(("wave", "canary"), [("k99", None), ("5%", "k99")])
def test_a_wave_of_strangers_is_refused(wave: str, canary: str | None) -> None:
    with pytest.raises(NotFoundError):
        waves(NAMES, wave, canary=canary)


@pytest.mark.parametrize(
    ("number", "of", "told"), [(0, 9, 0), (9, 9, 9), (4, 9, None), (5, 9, None), (5, 10, 5), (6, 10, None)]
)
def test_few_and_all_but_few_are_not_told(number: int, of: int, told: int | None) -> None:
    assert part(number, of=of) == told


COUNTS = st.dictionaries(
    st.sampled_from(["apple", "native", "headwind", "ipados 17", "ipados 18", OTHER]), st.integers(1, 30)
)


@given(COUNTS)
def test_parts_are_told_so_that_none_is_small_and_nothing_is_lost(counts: dict[str, int]) -> None:
    told = together(counts)
    assert sum(told.values()) == sum(counts.values())
    assert all(number >= SMALL for number in told.values()) or sum(counts.values()) < SMALL
    assert all(counts[name] == number for name, number in told.items() if name != OTHER)


def test_a_small_part_takes_the_next_one_with_it() -> None:
    assert together({"apple": 100, "native": 20, "headwind": 2}) == {"apple": 100, OTHER: 22}
    assert together({"apple": 100, "native": 3, "headwind": 2}) == {"apple": 100, OTHER: 5}


def test_versions_leave_no_few_of_their_system() -> None:
    counts = {Platform.IPADOS: {"ipados 18": 100, "ipados 17": 2}, Platform.ANDROID: {"android 13": 30, "android": 9},
              Platform.LINUX: {"linux 6": 3}}  # fmt: skip
    folded = systems(counts)
    assert folded == {"ipados": 102, "android 13": 30, "android": 9, "linux": 3}
    assert together(folded) == {"ipados": 102, "android 13": 30, OTHER: 12}


def test_sums_are_of_what_is_told() -> None:
    small = Figures(None, None, None, None, {}, {}, None)
    plain = Figures(40, 0, 30, 80, {"apple": 40}, {"ipados 18": 40}, 40)
    unrated = Figures(20, None, None, 10, {"native": 20}, {"linux 18": 20}, None)
    told = total([small, plain, unrated])
    assert (told.tablets, told.silent, told.compliant, told.check_ins_per_day) == (60, 0, 30, 90)
    assert told.compliant_percent == 75.0  # of the tablets whose state is told
    assert told.channels == {"apple": 40, "native": 20}
    assert small.compliant_percent is None
