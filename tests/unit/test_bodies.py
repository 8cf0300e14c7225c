"""How much of bodies is held at once, whether they are here already or come in pieces."""

import asyncio
from typing import Any

import pytest

from fleet.channels.asgi import BODY, AbandonedError, told
from fleet.channels.bodies import FORM_BYTES, KEPT_FOR_SMALL_BYTES, Bodies, CrowdedError, Share, TooLargeError

ROOM = KEPT_FOR_SMALL_BYTES + 3 * FORM_BYTES


def read(share: Share, body: bytes, at_most: int, *, is_at_hand: bool) -> bytes:
    async def never() -> dict[str, Any]:
        raise AssertionError("what is here is not waited for")

    scope: dict[str, Any] = {BODY: lambda: body} if is_at_hand else {}
    return asyncio.run(share.read(scope, never if is_at_hand else told(body), at_most))


@pytest.mark.parametrize("is_at_hand", [True, False])
def test_a_body_is_read_up_to_its_limit(is_at_hand: bool) -> None:
    bodies = Bodies(ROOM)
    with bodies.share() as share:
        assert read(share, b"x" * 10, 10, is_at_hand=is_at_hand) == b"x" * 10
    with bodies.share() as share, pytest.raises(TooLargeError):
        read(share, b"x" * 11, 10, is_at_hand=is_at_hand)


@pytest.mark.parametrize("is_at_hand", [True, False])
def test_all_together_hold_no_more_than_there_is_room_for_and_give_it_back(is_at_hand: bool) -> None:
    bodies = Bodies(ROOM)
    large = b"x" * (2 * FORM_BYTES)
    with bodies.share() as one:
        read(one, large, len(large), is_at_hand=is_at_hand)
        with bodies.share() as another, pytest.raises(CrowdedError):
            read(another, large, len(large), is_at_hand=is_at_hand)  # what is left is for small ones
        with bodies.share() as small:
            read(small, b"x" * FORM_BYTES, FORM_BYTES, is_at_hand=is_at_hand)
    for _ in range(3):
        with bodies.share() as one:
            read(one, large, len(large), is_at_hand=is_at_hand)


def test_what_is_not_here_is_waited_for_and_who_goes_away_is_abandoned() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with Bodies(ROOM).share() as share:
        assert asyncio.run(share.read({BODY: lambda: None}, told(b"body"), 10)) == b"body"
    with Bodies(ROOM).share() as share, pytest.raises(AbandonedError):
        asyncio.run(share.read({BODY: lambda: None}, gone, 10))
