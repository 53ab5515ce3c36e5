"""Damaged rows are left out, counted and named, and take nothing else with them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandit_router.evaluation.logs.read import open_log
from bandit_router.evaluation.logs.schema import pa, parquet
from bandit_router.evaluation.logs.screen import LeftOut
from bandit_router.evaluation.logs.tables import make_ids, tabulate_block
from bandit_router.evaluation.logs.write import write_log
from bandit_router.types import NO_TASK
from tests.evaluation.blocks import a_block
from tests.evaluation.logs import assert_equal, damage, export_of, play, read_all, row_by_row

NAN, INF = float("nan"), float("inf")


# -- in the database ------------------------------------------------------------------------------


UNREADABLE = [
    ("reason", "whim", "'whim' is not a valid Reason"),
    ("pmf", "5", "not iterable"),
    ("x", "abcdefgh", "bytes-like"),
    ("propensity", "high", "propensity: "),
    ("decided_at", "noon", "decided_at: "),
    ("decided_at", 1e300, "decided_at: is not a Unix time"),
    ("snapshot", "newest", "snapshot: "),
    ("arm", b"\xff", "arm: "),
    ("pmf", '["a", "b", "c"]', "pmf: "),
    ("pmf", "no JSON", "pmf: "),
    ("eligible", "[1, 2, 3]", "eligible: "),
    ("task", "nine", "task: "),
]


@pytest.mark.parametrize(("column", "value", "why"), UNREADABLE)
def test_a_row_that_cannot_be_read_is_named_and_the_rest_is_exported(
    sqlite_url: str, tmp_path: Path, column: str, value: object, why: str
) -> None:
    ids = play(sqlite_url, 9)
    damage(sqlite_url, column, value, ids[4])
    done = export_of(sqlite_url, tmp_path / "log")
    assert (done.rows, done.unreadable, list(done.named)) == (8, 1, [ids[4]])
    assert why in done.named[ids[4]]
    with open_log(tmp_path / "log") as log:
        assert log.left_out == {"unreadable": LeftOut(1, (ids[4],))}
        assert log.info["unreadable"] == {"count": 1, "first": done.named}
        assert_equal(read_all(log), row_by_row(sqlite_url, ids[:4] + ids[5:], log.arms))


DAMAGED = [
    ("pmf", "[0.5, 0.5, 0.0, 0.0, 0.0]", "damaged: pmf is not as long as eligible"),
    ("costs_usd", "[]", "damaged: costs_usd is not as long as eligible"),
    ("eligible", "[]", "damaged: nothing was eligible"),
    ("arm", "nobody", "damaged: the action was not eligible"),
    ("propensity", 0.0, "damaged: propensity is not in (0, 1]"),
    ("propensity", INF, "damaged: propensity is not in (0, 1]"),
    ("cost_weight", INF, "damaged: cost_weight is not finite"),
    ("x", b"", "another dimension"),
    ("schema_id", "other", "another schema"),
]


@pytest.mark.parametrize(("column", "value", "why"), DAMAGED)
def test_a_row_that_contradicts_itself_is_left_out_and_named(
    sqlite_url: str, column: str, value: object, why: str
) -> None:
    ids = play(sqlite_url, 9)
    damage(sqlite_url, column, value, ids[4])
    with open_log(sqlite_url) as log:
        assert log.left_out == {why: LeftOut(1, (ids[4],))}
        assert_equal(read_all(log), row_by_row(sqlite_url, ids[:4] + ids[5:], log.arms))


def test_a_context_that_is_not_finite_is_left_out(sqlite_url: str) -> None:
    ids = play(sqlite_url, 9)
    with open_log(sqlite_url) as log:
        x = read_all(log).x[4].copy()
    x[-1] = NAN
    damage(sqlite_url, "x", x.tobytes(), ids[4])
    with open_log(sqlite_url) as log:
        assert log.left_out == {"damaged: x is not finite": LeftOut(1, (ids[4],))}
        assert log.rows == 8


def test_a_propensity_that_only_differs_from_its_pmf_stays(sqlite_url: str) -> None:
    ids = play(sqlite_url, 9)
    damage(sqlite_url, "propensity", 0.123, ids[4])
    with open_log(sqlite_url) as log:
        block = read_all(log)
        assert (log.left_out, block.propensity[4]) == ({}, 0.123)
        block.with_target(block.logged)


def test_feedback_that_is_no_number_makes_its_row_unreadable(sqlite_url: str, tmp_path: Path) -> None:
    ids = play(sqlite_url, 9)
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE feedback SET value = 'good' WHERE decision_id = ?", (ids[1],))
    done = export_of(sqlite_url, tmp_path / "log")
    assert list(done.named) == [ids[1]]
    assert "quality: " in done.named[ids[1]]


def test_many_bad_rows_are_counted_and_the_first_five_named(sqlite_url: str, tmp_path: Path) -> None:
    ids = play(sqlite_url, 30)
    for i in ids[:7]:
        damage(sqlite_url, "propensity", "?", i)
    for i in ids[7:16]:
        damage(sqlite_url, "propensity", 2.0, i)
    done = export_of(sqlite_url, tmp_path / "log", rows_per_group=4)
    assert (done.unreadable, list(done.named)) == (7, ids[:5])
    with open_log(tmp_path / "log") as log:
        assert log.left_out == {
            "unreadable": LeftOut(7, tuple(ids[:5])),
            "damaged: propensity is not in (0, 1]": LeftOut(9, tuple(ids[7:12])),
        }
        assert (log.rows, [piece.first for piece in log.pieces]) == (14, [0, 3, 7, 11])
        assert read_all(log).order.tolist() == list(range(14))


# -- in Parquet -----------------------------------------------------------------------------------


def put(name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    """Changes one column of row 3."""

    def change(rows: list[dict[str, Any]]) -> None:
        rows[3][name] = value(rows[3]) if callable(value) else value

    return change


ANYTHING = [
    (put("id", None), "damaged: no id"),
    (put("reason", None), "no reason"),
    (put("reason", "tier"), "tier"),
    (put("schema_id", None), "another schema"),
    (put("x", None), "another dimension"),
    (put("x", [1.0]), "another dimension"),
    (put("x", lambda row: [None, *row["x"][1:]]), "damaged: x is not finite"),
    (put("x", lambda row: [1e101, *row["x"][1:]]), "damaged: x is not finite"),
    (put("x", lambda row: [-INF, *row["x"][1:]]), "damaged: x is not finite"),
    (put("eligible", None), "damaged: nothing was eligible"),
    (put("eligible", ["small", "small", "large", "huge"]), "damaged: an arm is eligible twice"),
    (put("eligible", [None, "medium", "large", "huge"]), "damaged: an eligible arm has no name"),
    (put("pmf", None), "damaged: pmf is not as long as eligible"),
    (put("pmf", [0.5, 0.5, NAN, 0.0]), "damaged: pmf is not in [0, 1]"),
    (put("pmf", [0.5, 0.5, None, 0.0]), "damaged: pmf is not in [0, 1]"),
    (put("pmf", [1.5, -0.5, 0.0, 0.0]), "damaged: pmf is not in [0, 1]"),
    (put("pmf", [0.5, 0.5, 1e-3, 0.0]), "damaged: pmf does not sum to 1"),
    (put("costs_usd", [0.1, 0.1, INF, 0.0]), "damaged: costs_usd is not finite"),
    (put("costs_usd", [0.1, 0.1, None, 0.0]), "damaged: costs_usd is not finite"),
    (put("arm", None), "damaged: the action was not eligible"),
    (put("propensity", None), "damaged: propensity is not in (0, 1]"),
    (put("propensity", NAN), "damaged: propensity is not in (0, 1]"),
    (put("decided_at", NAN), "damaged: decided_at is not finite"),
    (put("cost_weight", None), "damaged: cost_weight is not finite"),
    (put("reward", INF), "damaged: reward is infinite"),
    (put("reward_weight", 1.5), "damaged: reward_weight is not in [0, 1]"),
    (put("reward_weight", NAN), "damaged: reward_weight is not in [0, 1]"),
    (put("task", 65), "damaged: task is no number of a task"),
    (put("task", -2), "damaged: task is no number of a task"),
    (put("cost_usd", -INF), "damaged: cost_usd is infinite"),
]


@pytest.mark.parametrize(("change", "why"), ANYTHING)
def test_whatever_a_writer_got_wrong_costs_one_row(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], why: str
) -> None:
    block = a_block(n=40)
    ids = make_ids(block)
    table = tabulate_block(block, ids, schema_id="synthetic")
    write_log(tmp_path / "log", [block])
    with open_log(tmp_path / "log") as log:
        whole = read_all(log)
    rows = table.to_pylist()
    change(rows)
    (path,) = (tmp_path / "log").rglob("*.parquet")
    parquet.write_table(pa.Table.from_pylist(rows, table.schema), path, row_group_size=15)
    with open_log(tmp_path / "log") as log:
        named = str(rows[3]["id"])
        assert log.left_out == {why: LeftOut(1, (named,))}
        kept = read_all(log)
        kept.with_target(kept.logged)
    assert (log.rows, [piece.first for piece in log.pieces]) == (39, [0, 14, 29])
    assert kept.order.tolist() == list(range(39))
    np.testing.assert_array_equal(kept.x, np.delete(whole.x, 3, axis=0))
    np.testing.assert_array_equal(kept.logged, np.delete(whole.logged, 3, axis=0))
    np.testing.assert_array_equal(kept.action, np.delete(whole.action, 3))


@pytest.mark.parametrize(
    ("tasks", "read", "left_out"),
    [
        (pa.array([0.0, 2.5, None, NAN, 64.0, INF]), [0, NO_TASK, 64], 3),
        (pa.array([0, 1, None, 200, 64, 3], pa.uint8()), [0, 1, NO_TASK, 64, 3], 1),
        (pa.nulls(6), [NO_TASK] * 6, 0),
    ],
)
def test_tasks_are_read_from_any_column_of_numbers(
    tmp_path: Path, tasks: Any, read: list[int], left_out: int
) -> None:
    block = a_block(n=6)
    write_log(tmp_path / "log", [block])
    (path,) = (tmp_path / "log").rglob("*.parquet")
    table = parquet.read_table(path)
    columns = table.set_column(table.column_names.index("task"), "task", tasks)
    parquet.write_table(columns, path)
    with open_log(tmp_path / "log") as log:
        assert sum(rows.count for rows in log.left_out.values()) == left_out
        assert read_all(log).tasks().tolist() == read


def test_a_row_counts_for_the_first_thing_that_is_wrong_with_it(tmp_path: Path) -> None:
    block = a_block(n=40)
    table = tabulate_block(block, make_ids(block), schema_id="synthetic")
    write_log(tmp_path / "log", [block])
    rows = table.to_pylist()
    for row in rows[5:9]:
        row |= {"reason": "override", "x": [NAN], "propensity": 7.0, "eligible": []}
    (path,) = (tmp_path / "log").rglob("*.parquet")
    parquet.write_table(pa.Table.from_pylist(rows, table.schema), path)
    with open_log(tmp_path / "log") as log:
        assert {why: found.count for why, found in log.left_out.items()} == {"override": 4}
        assert log.rows == 36


def test_a_log_of_nothing_but_bad_rows_is_empty(tmp_path: Path) -> None:
    block = a_block(n=40)
    write_log(tmp_path / "log", [block], schema_id="other")
    path = tmp_path / "log" / "log.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_id": "synthetic"}))
    with open_log(tmp_path / "log") as log:
        assert (log.rows, log.pieces, log.arms) == (0, (), ())
        assert log.left_out["another schema"].count == 40


@pytest.mark.parametrize("damaged", range(3))
def test_arms_that_only_bad_rows_name_are_no_arms(tmp_path: Path, damaged: int) -> None:
    block = a_block(n=40)
    table = tabulate_block(block, make_ids(block), schema_id="synthetic")
    write_log(tmp_path / "log", [block])
    rows = table.to_pylist()
    rows[damaged] |= {
        "eligible": ["ghost", *rows[damaged]["eligible"][1:]],
        "propensity": NAN,
        "arm": "ghost",
    }
    (path,) = (tmp_path / "log").rglob("*.parquet")
    parquet.write_table(pa.Table.from_pylist(rows, table.schema), path)
    with open_log(tmp_path / "log") as log:
        assert log.arms == block.arms
        assert len(read_all(log)) == 39


def test_a_row_that_comes_twice_counts_once(tmp_path: Path) -> None:
    """The first of the two that nothing is wrong with."""
    block = a_block(n=40)
    table = tabulate_block(block, make_ids(block), schema_id="synthetic")
    write_log(tmp_path / "log", [block])
    with open_log(tmp_path / "log") as log:
        whole = read_all(log)
    rows = table.to_pylist()
    rows = [*rows[:3], rows[3] | {"propensity": NAN}, rows[3], *rows[4:20], rows[19], rows[19], *rows[20:]]
    (path,) = (tmp_path / "log").rglob("*.parquet")
    parquet.write_table(pa.Table.from_pylist(rows, table.schema), path)
    with open_log(tmp_path / "log") as log:
        assert log.left_out == {
            "damaged: propensity is not in (0, 1]": LeftOut(1, (rows[3]["id"],)),
            "the id of a row before": LeftOut(2, (rows[20]["id"],) * 2),
        }
        assert_equal(read_all(log), whole)
