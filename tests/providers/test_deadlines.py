"""Time-outs between chunks: whoever is slow, the right task hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bandit_router.providers.base import FailureKind, UpstreamError
from bandit_router.providers.deadlines import Deadlines

SHORT_S, LONG_S = 0.05, 60.0


async def send(*pauses: float) -> AsyncIterator[bytes]:
    for pause in pauses:
        await asyncio.sleep(pause)
        yield b"x"


def make_deadlines(begin_s: float = LONG_S, gap_s: float = LONG_S, total_s: float = LONG_S) -> Deadlines:
    now = asyncio.get_running_loop().time()
    return Deadlines(begin_at=now + begin_s, end_at=now + total_s, gap_s=gap_s)


def test_a_slow_reader_is_not_timed_out() -> None:
    async def read() -> int:
        count = 0
        async for _ in make_deadlines(gap_s=SHORT_S).watch(send(0, 0, 0)):
            await asyncio.sleep(3 * SHORT_S)
            count += 1
        return count

    assert asyncio.run(read()) == 3


@pytest.mark.parametrize(
    ("limits", "pauses"),
    [
        ({"begin_s": SHORT_S}, (LONG_S,)),
        ({"gap_s": SHORT_S}, (0.0, LONG_S)),
        ({"total_s": SHORT_S}, (0.0, LONG_S)),
        ({"gap_s": 4 * SHORT_S}, (0.0, SHORT_S, SHORT_S, SHORT_S, SHORT_S, SHORT_S, LONG_S)),
    ],
)
def test_a_slow_sender_is(limits: dict[str, float], pauses: tuple[float, ...]) -> None:
    async def read() -> None:
        watched = make_deadlines(**limits).watch(send(*pauses))
        for _ in pauses[1:]:
            await anext(watched)
        with pytest.raises(UpstreamError) as caught:
            await anext(watched)
        assert caught.value.kind is FailureKind.TIMEOUT
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)  # no cancellation is left over

    asyncio.run(read())


def test_a_cancelled_reader_is_cancelled_and_not_timed_out() -> None:
    async def read() -> None:
        reading = asyncio.ensure_future(anext(make_deadlines().watch(send(LONG_S))))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(read())
