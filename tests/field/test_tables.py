"""Tables as people have them: each is read, or refused with what to do about it."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main

from bandit_router import cli
from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets import load_dataset
from bandit_router.evaluation.datasets.scales import recognise_scale
from bandit_router.types import Scale
from tests.cli.conftest import Run, call, config  # noqa: F401

HERE = Path(__file__).parent
PACKAGE = Path(cli.__file__).parents[1]
LOADING = ("simulate", "warm-start", "train-classifier", "demo")
ROOT: Any = typer.main.get_command(cli.app)
COMMANDS: dict[str, Any] = ROOT.commands


@pytest.mark.parametrize(
    ("name", "quality", "cost_usd"),
    [
        ("semicolons.csv", [[1, 0.5], [0.75, 0.25]], [[0.004, 0.0002], [0.005, 0.0003]]),
        ("tabs.csv", [[1, 0.5]], [[0.004, 0.0002]]),
        ("spaces_dollars_yes_no.csv", [[0, 1], [1, 0]], [[0.02, 0.002], [0.03, 0.003]]),
        ("array.json", [[1, 0.5]], [[0.02, 0.002]]),
        ("perf_list.jsonl", [[1, 0.5], [1, 0]], [[0.02, 0.002], [0.03, 0.001]]),
    ],
)
def test_a_table_is_read(name: str, quality: list[list[float]], cost_usd: list[list[float]]) -> None:
    data = load_dataset(HERE / f"tables_{name}")
    assert data.models == ("large", "small")
    assert (data.quality.tolist(), data.cost_usd.tolist()) == (quality, cost_usd)


@pytest.mark.parametrize(("name", "queries"), [("messages.jsonl", 2), ("messages_as_text.csv", 1)])
def test_chat_messages_are_read_as_their_newest_question(name: str, queries: int) -> None:
    assert load_dataset(HERE / f"tables_{name}").queries == ("Hi",) * queries


def test_an_unclear_number_is_refused_with_what_to_write() -> None:
    with pytest.raises(ConfigError) as refusal:
        load_dataset(HERE / "tables_ambiguous.csv")
    assert "line 2: cost_usd is '1,234' (a decimal comma or thousands? write it with" in str(refusal.value)
    assert "line 3: quality is '95%' (write a percentage as a share" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "scale", "quality"),
    [
        ("stars.csv", (1, 5), [[1, 0], [0.75, 0.25], [1, 0.5]]),
        ("thumbs.csv", (-1, 1), [[1, 0], [1, 1]]),
        ("percent.csv", (0, 100), [[0.955, 0.7], [0.88, 0.2]]),
    ],
)
@pytest.mark.parametrize("skip_bad", [False, True])
def test_ratings_on_another_scale_are_recognised_and_never_left_out(
    name: str, scale: tuple[float, float], quality: list[list[float]], skip_bad: bool
) -> None:
    path = HERE / f"tables_{name}"
    with pytest.raises(ConfigError) as refusal:
        load_dataset(path, skip_bad=skip_bad)
    assert f"looks like {scale[0]} to {scale[1]}: give scale (--scale {scale[0]}:{scale[1]})" in str(
        refusal.value
    )
    assert "skip" not in str(refusal.value)
    np.testing.assert_allclose(load_dataset(path, scale=scale).quality, quality, rtol=1e-12)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([4.5, 5, 5, 3], (1, 5)),
        ([0, 1, 1, 1, -1], (-1, 1)),
        ([0, 10, 7], (0, 10)),
        ([0.2, 83.27, 91.4], (0, 100)),
        ([0, 1, 1, 0], None),
        ([0.5, 0.7, 1.4], None),
        ([0, 1] * 20 + [11], None),
        ([2.0] * 5, None),
        ([*range(0, 2000, 100)], (0, 1900)),
    ],
)
def test_a_few_errors_are_no_scale(values: list[float], scale: tuple[float, float] | None) -> None:
    assert recognise_scale(np.array(values, dtype=float), Scale(0, 1)) == scale


def test_a_wide_table_of_stars_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "stars.csv"
    path.write_text("prompt,small,large\na,1,5\nb,2,4\nc,3,5\n")
    with pytest.raises(ConfigError, match="looks like 1 to 5: scale it to 0 to 1 first, or write one row"):
        load_dataset(path, skip_bad=True, need_costs=False)


# -- what an error advises ------------------------------------------------------------------------

_OPTION = re.compile(r"--[a-z][a-z-]+")


def options_named(path: Path) -> set[str]:
    """The options in the texts of a file, docstrings apart."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in docs)
    return {option for text in texts if isinstance(text, str) for option in _OPTION.findall(text)}


def options_of(command: Any) -> set[str]:
    """The options of a command, and of those below it."""
    own = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return own.union(*map(options_of, getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("command", LOADING)
def test_a_loading_command_has_every_option_that_a_loader_advises(command: str) -> None:
    advised = set().union(*(options_named(path) for path in PACKAGE.glob("evaluation/datasets/*.py")))
    assert advised >= {"--columns", "--scale", "--prices", "--skip-bad"}
    assert advised <= options_of(COMMANDS[command])


def test_every_option_that_is_named_anywhere_exists() -> None:
    existing = options_of(ROOT)
    named = set().union(*map(options_named, PACKAGE.rglob("*.py")))
    assert named <= existing, named - existing


@pytest.fixture
def tables(tmp_path: Path, config: Path) -> Path:  # noqa: F811
    for path in HERE.glob("tables_*"):
        shutil.copy(path, tmp_path)
    rows = [
        f"{i},{'q ' * (i + 1)},{m},{q},0.1"
        for i in range(40)
        for m, q in (("small", 1 + i % 2 * 3), ("large", 5))
    ]
    bad = [*rows, "40,q,small,oops,0.1", "40,q,large,5,0.1"]
    (tmp_path / "bad.csv").write_text("\n".join(["query_id,text,model,quality,cost_usd", *bad]))
    (tmp_path / "prices.csv").write_text("model,usd_per_call\nsmall,0.1\nlarge,1\n")
    return config


PLAY = {
    "warm-start": [],
    "train-classifier": ["--cheap", "small", "--expensive", "large", "--force"],
    "simulate": ["--seeds", "1", "--jobs", "1"],
}


@pytest.mark.parametrize("command", PLAY)
@pytest.mark.usefixtures("tables")
def test_following_the_advice_of_each_error_ends_in_success(call: Run, command: str) -> None:  # noqa: F811
    line = [command, "--data", "bad.csv", *PLAY[command]]
    assert "looks like 1 to 5: give scale (--scale 1:5)" in call(*line).error
    assert "quality is 'oops'" in call(*line, "--scale", "1:5").err
    assert "(--skip-bad)" in call(*line, "--scale", "1:5").err
    done = call(*line, "--scale", "1:5", "--skip-bad")
    assert done.code == 0, done.err


@pytest.mark.parametrize("command", PLAY)
@pytest.mark.usefixtures("tables")
def test_prices_are_asked_for_only_where_something_is_priced(call: Run, command: str) -> None:  # noqa: F811
    line = [command, "--data", "tables_no_costs.csv", *PLAY[command]]
    priced = {"simulate": [], "train-classifier": ["--usd-per-request", "0.5"]}.get(command)
    if priced is not None:
        assert "give prices (--prices)" in call(*line, *priced).error
    done = call(*line, *(priced or []), "--prices", "prices.csv")
    assert done.code == 0, done.err
    free = call(*line, *(["--cost-weight", "0"] if command == "simulate" else []))
    assert free.code == 0, free.err
