"""Every error is one line that names what is wrong, with exit code 1, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.usefixtures("config")
def test_an_error_is_one_line_without_a_traceback(run: Run) -> None:
    assert (
        run("feedback", "unknown", "quality=1").error == "error: no decision 'unknown' in this router's log"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["route", ""], "query: is empty"),
        (["route", "\udcff"], "query: contains a lone surrogate"),
        (["route", "a", "--cost-weight", "nan"], "cost_weight"),
        (["route", "a", "--user-tier", ""], "user_tier: is empty"),
        (
            ["route", "a", "--config", "none.toml"],
            "none.toml: no such file; write one with `bandit-router init`",
        ),
        (["route", "a", "--config", "."], "cannot be read"),
        (["feedback", "x", "quality"], "'quality': write a metric as name=number"),
        (["feedback", "x", "quality=good"], "'quality=good': write a metric as name=number"),
        (["feedback", "x", "quality=2"], "quality: is out of range"),
        (["feedback", "x", "quality=nan"], "quality: is out of range"),
        (["feedback", "x", "score=1"], "score: is not a metric; use one of quality"),
        (["feedback", "x", "score="], "score: is not a metric"),
        (["feedback", "x", "decision_id=1"], "decision_id: is not a metric"),
        (["feedback", "x", "idempotency_key=1"], "idempotency_key: is not a metric"),
        (["feedback", "x", "quality=1", "quality=0"], "quality is given twice"),
        (["feedback", "x" * 37, "quality=1"], "decision_id"),
        (["feedback", "", "quality=1"], "decision_id"),
        (["arms", "disable", "gpt-9"], "'gpt-9' is not an arm; use one of large, small"),
        (["demo", "--data", "none.parquet"], "none.parquet: cannot be read as Parquet"),
    ],
)
@pytest.mark.usefixtures("config")
def test_what_is_wrong_is_named(call: Run, arguments: list[str], says: str) -> None:
    ran = call(*arguments)
    assert says in ran.error
    assert ran.out == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[router]\nnam = 'x'\n", "router.nam: unknown key 'nam'; allowed: name"),
        ("[rooter]\n", "unknown key 'rooter'"),
        ("router = ", "is not valid TOML"),
        ("[policy]\nname = 'magic'\n", "no policy 'magic'"),
        ("[policy]\nepsilon = 2\n", "epsilon"),
        ("[store]\nurl = 'mysql://h/d'\n", "'mysql' is not supported"),
        ("[store]\nurl = 'sqlite:///no/such/folder/router.db'\n", "database"),
    ],
)
def test_wrong_settings_are_named(call: Run, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "router.toml").write_text(text, encoding="utf-8")
    assert says in call("route", "a").error


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--port", "99999"],
        ["serve", "--port", "-1"],
        ["serve", "--workers", "0"],
        ["demo", "--queries", "0"],
        ["demo", "--seed", "-1"],
        ["arms", "add", "new"],
        ["feedback", "x"],
        ["rout"],
        ["route", "a", "--colour"],
    ],
)
@pytest.mark.usefixtures("config")
def test_a_wrong_usage_is_explained_with_exit_code_2(call: Run, arguments: list[str]) -> None:
    ran = call(*arguments)
    assert ran.code == 2
    assert "Usage:" in ran.err


@pytest.mark.usefixtures("config")
def test_brackets_in_an_error_are_printed_as_they_are(call: Run) -> None:
    assert "'x[demo]': write a metric as name=number" in call("feedback", "id", "x[demo]").error
