"""Holding tablets: one wait each, no ring lost, a bounded number who look at once."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

from fleet.channels.wake import Ended, Wait, Waiting

T = TypeVar("T")
LONG_S = 30.0


def run(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(bounded())


async def stays() -> None:
    await asyncio.Event().wait()


class Server:
    """What tablets look at: a number that rises, and who looked."""

    def __init__(self) -> None:
        self.version = 1
        self.looks = 0
        self.at_once = self.most_at_once = 0
        self.on_look: Callable[[], None] = lambda: None

    async def look(self) -> int | None:
        self.looks += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        found = self.version if self.version > 1 else None
        self.on_look()
        await asyncio.sleep(0)
        self.at_once -= 1
        return found


def hold(
    waiting: Waiting,
    server: Server,
    device_id: int = 1,
    *,
    for_s: float = LONG_S,
    gone: Callable[[], Awaitable[None]] = stays,
) -> tuple[Wait, asyncio.Task[int | Ended]]:
    """Enter a tablet and hold it, as a door does; leaves afterwards."""
    wait = waiting.enter(device_id)
    assert wait is not None

    async def held() -> int | Ended:
        try:
            return await waiting.hold(wait, server.look, for_s=for_s, gone=gone)
        finally:
            waiting.leave(device_id, wait)

    return wait, asyncio.ensure_future(held())


def test_a_ring_from_another_thread_has_the_tablet_look_and_only_those_rung() -> None:
    async def work() -> tuple[int | Ended, bool, int]:
        waiting, server = Waiting(at_once=5), Server()
        _, rung = hold(waiting, server, 1)
        _, other = hold(waiting, server, 2)
        await asyncio.sleep(0)
        server.version = 2
        threading.Thread(target=waiting.ring, args=([1, 99],)).start()
        found = await rung
        still = other.done()
        waiting.close()
        await other
        return found, still, server.looks

    assert run(work()) == (2, False, 1)


def test_what_is_rung_before_the_wait_begins_is_not_lost() -> None:
    async def work() -> int | Ended:
        waiting, server = Waiting(at_once=5), Server()
        wait = waiting.enter(1)
        assert wait is not None
        waiting.ring([1])
        await asyncio.sleep(0.01)
        server.version = 2
        return await waiting.hold(wait, server.look, for_s=LONG_S, gone=stays)

    assert run(work()) == 2


def test_what_is_rung_during_a_look_has_the_tablet_look_once_more() -> None:
    async def work() -> tuple[int | Ended, int]:
        waiting, server = Waiting(at_once=5), Server()

        def change() -> None:  # right after this look has read
            server.version, server.on_look = 2, lambda: None
            waiting.ring([1])

        server.on_look = change
        _, held = hold(waiting, server)
        waiting.ring([1])
        return await held, server.looks

    assert run(work()) == (2, 2)


def test_a_ring_that_changed_nothing_lets_the_tablet_wait_on_to_its_end() -> None:
    async def work() -> tuple[int | Ended, int, float]:
        waiting, server = Waiting(at_once=5), Server()
        begun = asyncio.get_running_loop().time()
        _, held = hold(waiting, server, for_s=0.3)
        for _ in range(3):
            waiting.ring([1])
            await asyncio.sleep(0.05)
        return await held, server.looks, asyncio.get_running_loop().time() - begun

    found, looks, took_s = run(work())
    assert (found, looks) == (Ended.OVER, 3)
    assert took_s >= 0.29


def test_a_newer_wait_of_the_same_tablet_ends_the_older_and_is_itself_rung() -> None:
    async def work() -> tuple[int | Ended, int, int | Ended]:
        waiting, server = Waiting(at_once=5), Server()
        _, older = hold(waiting, server)
        await asyncio.sleep(0)
        _, newer = hold(waiting, server)
        ended = await older
        number, server.version = len(waiting), 2
        waiting.ring([1])
        return ended, number, await newer

    assert run(work()) == (Ended.REPLACED, 1, 2)


def test_a_newer_wait_ends_an_older_that_was_just_rung_too() -> None:
    async def work() -> list[int | Ended]:
        waiting, server = Waiting(at_once=1), Server()
        older_wait, older = hold(waiting, server)
        await asyncio.sleep(0)
        older_wait.ring()
        _, newer = hold(waiting, server, for_s=0.05)
        return [await older, await newer]

    assert run(work()) == [Ended.REPLACED, Ended.OVER]


def test_a_tablet_that_hangs_up_is_let_go_at_once() -> None:
    async def work() -> tuple[int | Ended, int]:
        waiting, gone = Waiting(at_once=5), asyncio.Event()

        async def hung_up() -> None:
            await gone.wait()

        _, held = hold(waiting, Server(), gone=hung_up)
        await asyncio.sleep(0)
        gone.set()
        return await held, len(waiting)

    assert run(work()) == (Ended.GONE, 0)


def test_all_who_are_rung_together_look_a_bounded_number_at_a_time_and_all_find_it() -> None:
    async def work() -> tuple[set[int | Ended], int]:
        waiting, server = Waiting(at_once=7), Server()
        held = [hold(waiting, server, device_id)[1] for device_id in range(500)]
        await asyncio.sleep(0)
        server.version = 2
        waiting.ring(range(500))
        return set(await asyncio.gather(*held)), server.most_at_once

    assert run(work()) == ({2}, 7)


def test_who_was_rung_looks_even_if_its_time_is_over_before_its_turn() -> None:
    async def work() -> list[int | Ended]:
        waiting, server = Waiting(at_once=1), Server()
        first, second = hold(waiting, server, 1)[1], hold(waiting, server, 2)
        await asyncio.sleep(0)
        server.version = 2
        second[0].ring()
        second[0].end(Ended.OVER)
        waiting.ring([1])
        return [await first, await second[1]]

    assert run(work()) == [2, 2]


def test_a_look_that_fails_is_raised_and_the_tablet_is_let_go() -> None:
    async def work() -> int:
        waiting, server = Waiting(at_once=1), Server()

        def fail() -> None:
            raise LookupError

        server.on_look = fail
        _, held = hold(waiting, server)
        waiting.ring([1])
        with pytest.raises(LookupError):
            await held
        server.on_look, server.version = lambda: None, 2  # and its turn is given back
        _, held = hold(waiting, server)
        waiting.ring([1])
        assert await held == 2
        return len(waiting)

    assert run(work()) == 0


def test_at_the_end_all_are_answered_nobody_is_taken_in_and_rings_do_no_harm() -> None:
    waiting: Waiting

    async def work() -> tuple[set[int | Ended], Wait | None]:
        nonlocal waiting
        waiting = Waiting(at_once=1)
        held = [hold(waiting, Server(), device_id)[1] for device_id in range(50)]
        await asyncio.sleep(0)
        waiting.ring(range(50))
        waiting.close()
        waiting.close()
        return set(await asyncio.gather(*held)), waiting.enter(1)

    ended, late = run(work())
    assert ended == {Ended.STOPPED}
    assert late is None
    waiting._waits[1] = None  # type: ignore[assignment]  # one that was left behind, on a loop that is closed
    waiting.ring([1])


def test_beyond_the_limit_nobody_waits_but_who_waits_already_may_anew() -> None:
    async def work() -> tuple[bool, bool, bool]:
        waiting = Waiting(at_once=1, at_most=2)
        first, second = waiting.enter(1), waiting.enter(2)
        assert first is not None
        assert second is not None
        beyond, again = waiting.enter(3), waiting.enter(1)
        waiting.leave(1, first)  # the older of the two: the newer stays
        full = waiting.enter(3)
        waiting.leave(2, second)
        return beyond is None and full is None, again is not None, waiting.enter(3) is not None

    assert run(work()) == (True, True, True)


def test_with_which_version_each_waits_is_told_once_it_is_known() -> None:
    async def work() -> dict[int, int]:
        waiting = Waiting(at_once=1)
        for device_id, version in ((1, 7), (2, None), (3, 9)):
            wait = waiting.enter(device_id)
            assert wait is not None
            wait.version = version
        return waiting.held()

    assert run(work()) == {1: 7, 3: 9}
