"""Answers are read back as they were kept; what a crash cut short is gone; two runs never share a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bandit_router.errors import ConfigError
from bandit_router.labels.answers import KeptAnswer, open_answers
from bandit_router.types import CallOutcome, CallResult, Usage

RESULT = CallResult(
    outcome=CallOutcome.ANSWERED,
    cost_usd=0.25,
    cost_reported=True,
    latency_s=0.5,
    usage=Usage(input_tokens=7, service_tier="flex"),
    served_model="gpt-9",
)


def answer(item: str) -> KeptAnswer:
    return KeptAnswer(item=item, arm="a", call_id=f"call-{item}", text="line\nbreak", result=RESULT)


def test_answers_are_read_back_with_their_run(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with open_answers(path) as file:
        run = file.run
        file.append(answer("x"))
    with open_answers(path) as file:
        file.append(answer("y"))
    with open_answers(path) as file:
        assert file.run == run
        assert list(file.answers.values()) == [answer("x"), answer("y")]


@pytest.mark.parametrize("left", [1, 10])
def test_a_line_that_was_cut_short_is_gone_and_the_next_begins_anew(left: int, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with open_answers(path) as file:
        file.append(answer("x"))
        whole = path.read_bytes()
        file.append(answer("y"))
    path.write_bytes(path.read_bytes()[: len(whole) + left])
    with open_answers(path) as file:
        assert list(file.answers.values()) == [answer("x")]
        file.append(answer("z"))
    with open_answers(path) as file:
        assert list(file.answers.values()) == [answer("x"), answer("z")]


def test_a_run_cut_short_before_its_name_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'{"run": "ab')
    with open_answers(path) as file:
        assert len(file.run) == 32
    with open_answers(path) as again:
        assert again.run == file.run


def test_a_file_that_is_open_or_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with open_answers(path), pytest.raises(ConfigError, match="another run"), open_answers(path):
        pass
    path.write_text("text,model\n")
    with pytest.raises(ConfigError, match="not a file of answers"), open_answers(path):
        pass
