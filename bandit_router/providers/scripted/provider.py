"""The provider `scripted`: answers in this process, with nobody called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from bandit_router.providers.base import Completion, FailureKind, UpstreamError
from bandit_router.providers.completions import FORMS, read_completion, write_completion
from bandit_router.providers.deadlines import Deadlines
from bandit_router.providers.scripted.forms import render
from bandit_router.providers.scripted.performance import perform
from bandit_router.providers.scripted.scene import Scene, Script, ScriptedRequest, improvise
from bandit_router.settings.arms import ArmSection
from bandit_router.types import DialectName


class ScriptedAnswer:
    """An UpstreamAnswer."""

    def __init__(
        self, scene: Scene, headers: Mapping[str, str], chunks: Sequence[bytes], deadlines: Deadlines
    ) -> None:
        self.status = scene.status
        self.headers: Sequence[tuple[str, str]] = tuple(headers.items())
        self._scene, self._chunks, self._deadlines = scene, chunks, deadlines
        self._closed = False

    async def iterate_bytes(self) -> AsyncIterator[bytes]:
        async for chunk in self._deadlines.watch(perform(self._scene, self._chunks)):
            if self._closed:
                return
            yield chunk

    async def aclose(self) -> None:
        self._closed = True


class ScriptedProvider:
    """A Provider whose model is a script."""

    def __init__(self, arm: ArmSection, script: Script) -> None:
        self._arm, self._script = arm, script

    async def send(
        self, path: str, body: bytes, headers: Mapping[str, str], *, stream: bool = True
    ) -> ScriptedAnswer:
        deadlines = Deadlines.from_now(self._arm, stream=stream)
        request = ScriptedRequest.read(path, body, headers)
        if request is None:
            raise UpstreamError(FailureKind.STATUS, "upstream answered 400", status=400, body=b"{}")
        scene = self._script(request)
        answer_headers, chunks = render(scene, request)
        try:
            async with asyncio.timeout_at(deadlines.begin_at):
                await asyncio.sleep(scene.first_token_s)
        except TimeoutError:
            raise UpstreamError(FailureKind.TIMEOUT, "no answer in time") from None
        if scene.status >= 400:
            raise UpstreamError(
                FailureKind.STATUS,
                f"upstream answered {scene.status}",
                status=scene.status,
                headers=tuple(answer_headers.items()),
                body=b"".join(chunks),
            )
        return ScriptedAnswer(scene, answer_headers, chunks, deadlines)

    async def complete(self, text: str, *, max_output_tokens: int) -> Completion:
        path = next(iter(FORMS))
        body = write_completion(path, self._arm.model or self._arm.name, text, max_output_tokens)
        return await read_completion(path, await self.send(path, body, {}, stream=False))

    async def aclose(self) -> None:
        """There is nothing to close."""


def open_scripted(arm: ArmSection, dialects: tuple[DialectName, ...]) -> ScriptedProvider:
    """The provider of an arm whose script is in its settings; it speaks every dialect."""
    del dialects
    return ScriptedProvider(arm, improvise(arm.script))
