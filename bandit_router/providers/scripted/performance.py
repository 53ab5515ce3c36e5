"""The chunks of an answer in the time they take, to where it is cut or stalls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from bandit_router.providers.base import FailureKind, UpstreamError
from bandit_router.providers.scripted.scene import Scene

_FOREVER_S = 86_400.0


async def perform(scene: Scene, chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    """Raises UpstreamError where the scene is cut."""
    for index, chunk in enumerate(chunks):
        if index == scene.cut_after:
            raise UpstreamError(FailureKind.CUT, "the answer was cut")
        if index == scene.stall_after:
            await asyncio.sleep(_FOREVER_S)
        if index and scene.gap_s:
            await asyncio.sleep(scene.gap_s)
        yield chunk
    if scene.cut_after is not None and scene.cut_after >= len(chunks):
        raise UpstreamError(FailureKind.CUT, "the answer was cut")
