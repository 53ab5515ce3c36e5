"""Other people's clients in front of the gateway: each streams an answer and calls a tool (`make clients`).

A program gets the URL of a gateway to scripted models, and fails if anything is not as scripted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bandit_router.providers.scripted import Scene, ScriptedRequest
from bandit_router.types import CallOutcome, Usage
from tests.gateway.conftest import gateway_to

PROGRAMS = Path(__file__).parent / "programs"
DEADLINE_S = 120

_USAGE = Usage(input_tokens=8, output_tokens=3)
_ANSWER = Scene(pieces=("Hello", " wor", "ld"), usage=_USAGE)
_TOOL_CALL = Scene(tool=("weather", '{"city":"Köln"}'), finish="tool", usage=_USAGE)
_TOOL_RESULTS = (b'"role":"tool"', b'"function_call_output"', b'"tool_result"')


def play(request: ScriptedRequest) -> Scene:
    """Call the tool if there is one, and answer when its result is there."""
    has_result = any(mark in request.body.replace(b" ", b"") for mark in _TOOL_RESULTS)
    return _TOOL_CALL if request.fields().get("tools") and not has_result else _ANSWER


def run(program: Path, command: list[str]) -> str | None:
    """What went wrong with a client; None if nothing did."""
    with (
        TemporaryDirectory() as folder,
        gateway_to(Path(folder), {"cheap": play, "dear": play}) as gateway,
    ):
        try:
            done = subprocess.run(
                [*command, str(program), gateway.service.url],
                cwd=PROGRAMS,
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
            )
        except subprocess.TimeoutExpired:
            return f"did not end in {DEADLINE_S} s"
        if done.returncode != 0:
            return done.stderr or done.stdout
        asked = sum(len(upstream.app.calls) for upstream in gateway.upstreams.values())
        outcomes = [end.outcome for _, end in gateway.read_calls(asked)]
    expected = [CallOutcome.ANSWERED] * 3  # the streamed answer, the tool call, and what follows its result
    return None if outcomes == expected else f"its calls were {', '.join(outcomes)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--python", default=sys.executable, help="the interpreter that has the Python clients"
    )
    options = parser.parse_args()
    python = str(Path(options.python).absolute())  # the programs run in a folder of their own
    commands = {".mjs": ["node"], ".py": [python, "-W", "ignore"]}
    failed = False
    for program in sorted(PROGRAMS.glob("*.*")):
        if program.suffix not in commands:
            continue
        problem = run(program, commands[program.suffix])
        print(f"{'ok    ' if problem is None else 'FAILED'} {program.stem}", flush=True)
        if problem is not None:
            print(problem, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
