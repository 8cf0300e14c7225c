"""Batches: answered after the work is done, bounded, and no item fails for its neighbour."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from fleet.channels import batching, crowding
from fleet.channels.batching import Batcher, FullError
from fleet.channels.threads import Threads


class BadError(Exception):
    """What a bad item raises."""


class Work:
    """Doubles numbers; waits at a gate where told to, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fail: Callable[[Sequence[int]], Exception | None] = lambda _items: None

    def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        assert self.gate.wait(10)
        self.batches.append(list(items))
        if (error := self.fail(items)) is not None:
            raise error
        return [BadError() if item < 0 else 2 * item for item in items]


def test_what_waits_while_a_batch_runs_is_the_next_batch_in_order() -> None:
    async def run() -> None:
        work = Work()
        batcher = Batcher(work, limit=100, at_most=4)
        work.gate.clear()
        first = asyncio.create_task(batcher.submit(0))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.submit(number)) for number in range(1, 7)]
        await asyncio.sleep(0.05)
        assert batcher.depth == 6
        assert not any(task.done() for task in (first, *others))  # nothing is answered before the work is done
        work.gate.set()
        assert await asyncio.gather(first, *others) == [0, 2, 4, 6, 8, 10, 12]
        assert work.batches == [[0], [1, 2, 3, 4], [5, 6]]
        await batcher.drain()

    asyncio.run(run())


def test_a_refusal_is_raised_where_it_is_awaited_and_nowhere_else() -> None:
    async def run() -> None:
        batcher = Batcher(Work(), limit=10)
        found = await asyncio.gather(*(batcher.submit(item) for item in (1, -1, 3)), return_exceptions=True)
        assert [type(one) for one in found] == [int, BadError, int]
        await batcher.drain()

    asyncio.run(run())


def test_a_batch_that_fails_as_a_whole_is_tried_one_by_one() -> None:
    async def run() -> None:
        work = Work()
        work.fail = lambda items: BadError() if 2 in items else None
        work.gate.clear()
        batcher = Batcher(work, limit=10)
        tasks = [asyncio.create_task(batcher.submit(item)) for item in (0, 1, 2, 3)]
        await asyncio.sleep(0.05)
        work.gate.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert (found[0], found[1], type(found[2]), found[3]) == (0, 2, BadError, 6)
        assert work.batches == [[0, 1, 2, 3], [0], [1], [2], [3]]
        assert await batcher.submit(5) == 10
        await batcher.drain()

    asyncio.run(run())


def test_where_everything_fails_slowly_not_every_item_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_PATIENCE_S", 0.0)

    async def run() -> None:
        work = Work()
        work.fail = lambda _items: BadError()
        batcher = Batcher(work, limit=10)
        found = await asyncio.gather(*(batcher.submit(item) for item in range(5)), return_exceptions=True)
        assert [type(one) for one in found] == [BadError] * 5
        assert len(work.batches) == 1
        await batcher.drain()

    asyncio.run(run())


@pytest.mark.parametrize("fault", [StopIteration(), RuntimeError("x")])
def test_whatever_is_raised_the_next_batch_is_taken(fault: Exception) -> None:
    async def run() -> None:
        work = Work()
        work.fail = lambda items: fault if 1 in items else None
        batcher = Batcher(work, limit=10)
        with pytest.raises(RuntimeError):
            await batcher.submit(1)
        assert await batcher.submit(2) == 4
        await batcher.drain()

    asyncio.run(run())


def test_outcomes_that_do_not_fit_the_items_fail_those_items_only() -> None:
    async def run() -> None:
        batcher: Batcher[int, int] = Batcher(lambda items: [] if 1 in items else list(items), limit=10)
        with pytest.raises(RuntimeError, match="0 outcomes for 1"):
            await batcher.submit(1)
        assert await batcher.submit(2) == 2
        await batcher.drain()

    asyncio.run(run())


def test_who_finds_the_queue_full_is_told_at_once() -> None:
    async def run() -> None:
        work = Work()
        work.gate.clear()
        batcher = Batcher(work, limit=2, at_most=1)
        running = asyncio.create_task(batcher.submit(0))
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(batcher.submit(item)) for item in (1, 2)]
        await asyncio.sleep(0)
        assert batcher.is_full
        for was_held in (False, True):
            with pytest.raises(FullError):
                await batcher.submit(3, was_held=was_held)
        work.gate.set()
        assert await asyncio.gather(running, *waiting) == [0, 2, 4]
        assert not batcher.is_full
        await batcher.drain()

    asyncio.run(run())


def test_who_goes_away_is_not_missed_and_the_neighbours_are_answered() -> None:
    async def run() -> None:
        work = Work()
        work.gate.clear()
        batcher = Batcher(work, limit=10)
        tasks = [asyncio.create_task(batcher.submit(item)) for item in (1, 2, 3)]
        await asyncio.sleep(0.05)
        tasks[1].cancel()
        work.gate.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert (found[0], type(found[1]), found[2]) == (2, asyncio.CancelledError, 6)
        assert sorted(item for batch in work.batches for item in batch) == [1, 2, 3]
        await batcher.drain()

    asyncio.run(run())


def test_draining_answers_everything_and_takes_nothing_more() -> None:
    async def run() -> None:
        work = Work()
        work.gate.clear()
        batcher = Batcher(work, limit=10, at_most=2)
        tasks = [asyncio.create_task(batcher.submit(item)) for item in range(5)]
        await asyncio.sleep(0.05)
        draining = asyncio.create_task(batcher.drain())
        await asyncio.sleep(0.05)
        assert not draining.done()
        with pytest.raises(FullError):
            await batcher.submit(9)
        work.gate.set()
        await draining
        assert all(task.done() for task in tasks)
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8]
        await batcher.drain()

    asyncio.run(run())


def test_a_slow_batch_shortens_the_queue_but_never_below_one_batch() -> None:
    async def run() -> None:
        work = Work()
        work.gate.clear()
        batcher = Batcher(work, limit=1_000, at_most=4)
        batcher._batch_s = batching.MOST_WORK_S  # so long each of the last ones took
        waiting = [asyncio.create_task(batcher.submit(0))]
        await asyncio.sleep(0.05)  # it is in the thread
        for number in range(1, 6):
            batcher.require_room()
            waiting.append(asyncio.create_task(batcher.submit(number)))
            await asyncio.sleep(0)
        with pytest.raises(FullError):  # a batch and one more wait already
            batcher.require_room()
        assert not batcher.is_full  # which is for who watches, and of the number
        with pytest.raises(FullError):
            await batcher.submit(6)
        waiting.append(asyncio.create_task(batcher.submit(6, was_held=True)))
        await asyncio.sleep(0)
        work.gate.set()
        assert await asyncio.gather(*waiting) == [0, 2, 4, 6, 8, 10, 12]
        await batcher.drain()

    asyncio.run(run())


def test_units_of_work_that_take_long_shorten_the_queue_of_threads() -> None:
    async def run() -> None:
        threads = Threads(1, limit=1_000, name="test")
        gate = threading.Event()
        threads._unit_s = batching.MOST_WORK_S
        waiting = [asyncio.create_task(threads.run(gate.wait, 10)) for _ in range(9)]
        await asyncio.sleep(0)
        assert not threads.is_full  # which is for who watches, and of the number
        with pytest.raises(FullError):
            await threads.run(gate.wait)
        gate.set()
        assert await asyncio.gather(*waiting) == [True] * 9
        await threads.drain()

    asyncio.run(run())


def test_only_who_stood_long_behind_many_is_turned_away() -> None:
    line = crowding.Line()
    moment, had_turn = line.arrive()
    late = moment + crowding.MOST_LATE_S + 1
    assert had_turn == 0
    scope = {crowding.ARRIVED: (moment, had_turn)}
    assert not line.is_late(scope, late)  # the machine stood still
    for _ in range(crowding.FEW_IN_FRONT):
        assert not line.is_late({}, late)  # nobody knows when it came
    assert line.is_late(scope, late)
    assert not line.is_late({crowding.ARRIVED: line.arrive()}, moment)
    assert not line.is_late(scope, moment + crowding.MOST_LATE_S)


def test_so_many_begin_in_a_round_of_the_loop_and_the_others_in_order_after_them() -> None:
    async def run() -> None:
        line, begun = crowding.Line(), list[int]()

        async def come(number: int) -> None:
            if (turn := line.turn()) is not None:
                await turn
            begun.append(number)

        tasks = [asyncio.create_task(come(number)) for number in range(2 * crowding.AT_ONCE + 5)]
        await asyncio.sleep(0)
        assert begun == list(range(crowding.AT_ONCE))
        tasks[crowding.AT_ONCE].cancel()  # whose caller went away
        rounds = 0
        while len(begun) < len(tasks) - 1:
            await asyncio.sleep(0)
            rounds += 1
        assert rounds <= 6
        assert begun == [number for number in range(len(tasks)) if number != crowding.AT_ONCE]
        for _ in range(3):
            await asyncio.sleep(0)
        assert not line._is_turning  # nobody waits, and nothing is done in vain
        await come(-1)

    asyncio.run(run())
