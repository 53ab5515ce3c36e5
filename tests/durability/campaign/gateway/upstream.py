"""Scripted upstreams that fail, stall, send garbage and cut, and their own record of what they served."""

from __future__ import annotations

import random
import re
from typing import Any

from bandit_router.providers.scripted import ReceivedCall, Scene, Script, ScriptedApp, ScriptedRequest
from bandit_router.types import Usage
from tests.durability.helpers import Acknowledgements

ARMS = ("small", "medium", "large")
PRICES = {"small": (1.0, 2.0), "medium": (2.0, 5.0), "large": (4.0, 20.0)}
"""USD per million tokens of input and of output."""

_STALL_S = 60.0
_GARBAGE = (
    b"<html><body>502 Bad Gateway</body></html>",
    b'data: {"choices": [{"delta": {"content": "Hel',
    b"\x00\xff\xfe\x81" * 64,
    b"event: message_start\ndata: []\n\n",
    b"[]",
)
_MARKER = re.compile(rb"q-[0-9a-f]+-\d+")


def find_marker(body: bytes) -> str:
    """The name of the request, which its client put into the prompt."""
    found = _MARKER.search(body)
    assert found is not None, body
    return found[0].decode()


def make_script(seed: int) -> Script:
    """What happens to a request is up to the seed, the model and the request's name."""

    def play(request: ScriptedRequest) -> Scene:
        rng = random.Random(f"{seed} {request.model} {find_marker(request.body)}")
        pieces = tuple(f" word{n}" for n in range(rng.randint(2, 12)))
        usage = Usage(input_tokens=rng.randint(10, 500), output_tokens=rng.randint(1, 300))
        middle = rng.randint(2, len(pieces))
        ok: dict[str, Any] = {
            "pieces": pieces,
            "usage": usage,
            "first_token_s": rng.random() * 0.05,
            "gap_s": rng.random() * 0.02,
        }
        faults: tuple[tuple[float, dict[str, Any]], ...] = (
            (0.78, {}),
            (0.05, {"status": 500}),
            (0.01, {"status": 429}),
            (0.02, {"status": 400}),
            (0.03, {"raw": rng.choice(_GARBAGE)}),
            (0.02, {"first_token_s": _STALL_S}),
            (0.02, {"stall_after": middle}),
            (0.03, {"cut_after": 0}),
            (0.04, {"cut_after": middle}),
        )
        (fault,) = rng.choices([fault for _, fault in faults], [weight for weight, _ in faults])
        return Scene(**ok | fault)

    return play


def is_sound(scene: Scene, *, stream: bool) -> bool:
    """Whether a patient client gets the whole answer; one in one piece cannot stall in the middle."""
    stalls = scene.first_token_s >= _STALL_S or (stream and scene.stall_after is not None)
    return scene.status < 400 and scene.raw is None and scene.cut_after is None and not stalls


def note_served(app: ScriptedApp, told: Acknowledgements) -> None:
    """Note every request that the upstreams had: its name, its model, and what they did with it."""
    for call in app.calls:
        request = ScriptedRequest.read(call.path, call.body, call.headers)
        if request is None:  # its client left before all of it was there
            continue
        scene = app.script(request)
        served = {
            "marker": find_marker(call.body),
            "arm": request.model.removesuffix("-model"),
            "sound": is_sound(scene, stream=request.stream),
            "status": scene.status,
            "tokens": [scene.usage.input_tokens, scene.usage.output_tokens],
        }
        told.note("served", served)


def count_running(calls: list[ReceivedCall]) -> int:
    """The requests that upstream is still at work for."""
    return sum(not call.ended for call in calls)
