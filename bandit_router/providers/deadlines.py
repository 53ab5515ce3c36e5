"""The time-outs of a call: until its answer begins, between its bytes, and in total."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from bandit_router.providers.base import FailureKind, UpstreamError
from bandit_router.settings.arms import ArmSection


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """When a call that was sent now has to have begun and ended, on the clock of the event loop."""

    begin_at: float
    end_at: float
    gap_s: float

    @classmethod
    def from_now(cls, arm: ArmSection, *, stream: bool) -> Deadlines:
        """An answer that is not streamed begins when all of it is there: only the total counts."""
        now = asyncio.get_running_loop().time()
        end = now + arm.total_timeout_s
        begin = now + arm.first_token_timeout_s if stream else end
        return cls(begin_at=min(begin, end), end_at=end, gap_s=arm.gap_timeout_s)

    async def watch(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks. Raises UpstreamError when one does not come in time."""
        alarm = _Alarm()
        due, problem = self.begin_at, "no answer in time"
        try:
            while True:
                alarm.set(due)
                try:
                    chunk = await anext(chunks, None)
                except asyncio.CancelledError:
                    if alarm.took_back_its_cancellation():
                        raise UpstreamError(FailureKind.TIMEOUT, problem) from None
                    raise
                finally:
                    alarm.unset()
                if chunk is None:
                    return
                yield chunk
                due, problem = min(alarm.now() + self.gap_s, self.end_at), "no more of the answer in time"
        finally:
            alarm.close()


class _Alarm:
    """Cancels the task that set it when it is due, as asyncio.timeout does.

    It is set for every chunk of a stream, at 2 µs where asyncio.timeout costs 18: one timer is left to run,
    and looks only when it ends whether it was put off meanwhile.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._due = 0.0
        self._waiting: asyncio.Task[Any] | None = None
        self._cancelled: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: float) -> None:
        self._due, self._waiting = due, asyncio.current_task(self._loop)
        if self._timer is None or due < self._timer.when():
            self._start_timer()

    def unset(self) -> None:
        self._waiting = None

    def took_back_its_cancellation(self) -> bool:
        """Whether the task was cancelled by this alarm, and by nobody else."""
        return self._cancelled is not None and self._cancelled.uncancel() == 0

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _start_timer(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._due, self._end_timer)

    def _end_timer(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self.now() < self._due:
            self._start_timer()
        else:
            self._cancelled = self._waiting
            self._waiting.cancel()
