"""Taking a change back: what is put back, and what is left alone."""

import pytest

from fleet.schools.changes import Change

CHANGE = Change({"a": 1, "b": 2}, {"a": 10, "c": 30})


@pytest.mark.parametrize(
    ("standing", "back", "left"),
    [
        ({"a": 10, "c": 30}, {"a": 1, "b": 2, "c": None}, 0),
        ({"a": 10, "c": 30, "else": 5}, {"a": 1, "b": 2, "c": None}, 0),
        ({"a": 1, "b": 2}, {}, 0),
        ({"a": 11, "c": 30}, {"b": 2, "c": None}, 1),
        ({"b": 3, "c": 31}, {}, 3),
        ({"a": 10, "b": 2}, {"a": 1}, 0),
    ],
)
def test_only_what_stands_as_it_was_left_goes_back(
    standing: dict[str, int], back: dict[str, int | None], left: int
) -> None:
    assert CHANGE.back(standing) == (back, left)
