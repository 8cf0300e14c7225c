"""Frames of HTTP/2 as they arrive: in any pieces, with farewells among them."""

import h2.exceptions
import pytest
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, PingFrame
from hypothesis import given
from hypothesis import strategies as st

from fleet.channels.apple.push_connection import _Frames

FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.binary(max_size=40).map(lambda data: DataFrame(1, data)),
    st.binary(min_size=8, max_size=8).map(lambda data: PingFrame(0, data)),
    st.tuples(st.integers(0, 2**31 - 1), st.binary(max_size=20)).map(
        lambda told: GoAwayFrame(0, last_stream_id=told[0], error_code=0, additional_data=told[1])
    ),
)


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_farewells_are_taken_out_of_what_arrives_in_any_pieces(frames: list[Frame], cuts: list[int]) -> None:
    data, passed, told = b"".join(frame.serialize() for frame in frames), b"", []
    inside, place, turn = _Frames(), 0, 0
    while place < len(data):
        length = cuts[turn % len(cuts)]
        some, last_stream_id = inside.take(data[place : place + length])
        passed, place, turn = passed + some, place + length, turn + 1
        told += [] if last_stream_id is None else [last_stream_id]
    farewells = [frame for frame in frames if isinstance(frame, GoAwayFrame)]
    assert passed == b"".join(frame.serialize() for frame in frames if frame not in farewells)
    assert min(told, default=None) == min((frame.last_stream_id for frame in farewells), default=None)


def test_the_lowest_stream_of_two_farewells_in_one_piece_counts() -> None:
    frames = [GoAwayFrame(0, last_stream_id=last, error_code=0) for last in (2**31 - 1, 7, 9)]
    assert _Frames().take(b"".join(frame.serialize() for frame in frames)) == (b"", 7)


def test_a_frame_longer_than_allowed_is_refused_before_it_is_kept() -> None:
    with pytest.raises(h2.exceptions.FrameTooLargeError):
        _Frames().take((16_385).to_bytes(3, "big") + bytes(6))
