"""The time-outs of a call: until its answer begins, between its bytes, and in total."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

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
        clock = asyncio.get_running_loop().time
        due, problem = self.begin_at, "no answer in time"
        while True:
            try:
                async with asyncio.timeout_at(due):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                raise UpstreamError(FailureKind.TIMEOUT, problem) from None
            if chunk is None:
                return
            yield chunk
            due, problem = min(clock() + self.gap_s, self.end_at), "no more of the answer in time"
