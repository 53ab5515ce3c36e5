"""Arrays -> Parquet -> arrays, also when somebody else wrote the Parquet."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bandit_router.errors import ConfigError, InvalidInput, SnapshotCorrupt
from bandit_router.evaluation.block import Block
from bandit_router.evaluation.logs.read import open_log
from bandit_router.evaluation.logs.schema import pa, parquet
from bandit_router.evaluation.logs.tables import make_ids, tabulate_block
from bandit_router.evaluation.logs.write import write_log
from bandit_router.evaluation.splits import FOLDS, assign_folds
from bandit_router.posterior.codec import encode_statistics
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from tests.evaluation.blocks import a_block, signalled, split
from tests.evaluation.logs import assert_equal, read_all

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def known(block: Block) -> Block:
    """The block as it is read back: numbered from 0, with the folds of its ids."""
    return replace(block, order=np.arange(len(block)), fold=assign_folds(make_ids(block)))


def statistics_of(block: Block) -> SufficientStatistics:
    d = block.x.shape[1]
    prior = Prior(mean=np.zeros(d), precision=np.ones(d))
    priors = dict.fromkeys(block.arms, prior)
    return SufficientStatistics.empty(priors, schema_id="synthetic", noise_variance=1.0)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Any log whose every arm is eligible somewhere."""
    n, k, d = draw(st.integers(1, 30)), draw(st.integers(1, 5)), draw(st.integers(0, 4))
    finite = st.floats(-1e99, 1e99)
    eligible = draw(arrays(np.bool_, (n, k)))
    eligible[0] = True
    eligible[np.arange(n), draw(arrays(np.int64, n, elements=st.integers(0, k - 1)))] = True
    mass = np.where(eligible, draw(arrays(np.float64, (n, k), elements=st.floats(0.0, 1.0))), 0.0)
    mass[~(mass.sum(axis=1) > 1e-9)] = 0.0
    logged = np.where(mass.sum(axis=1, keepdims=True) > 0, mass, eligible)
    logged = logged / logged.sum(axis=1, keepdims=True)
    outcome = st.floats(allow_infinity=False, allow_nan=True)
    start = draw(st.floats(0, 4e9))
    return Block(
        arms=tuple(draw(st.lists(NAMES, min_size=k, max_size=k, unique=True))),
        x=draw(arrays(np.float64, (n, d), elements=finite)),
        eligible=eligible,
        logged=logged,
        action=np.array([draw(st.sampled_from(np.flatnonzero(row).tolist())) for row in eligible]),
        propensity=draw(arrays(np.float64, n, elements=st.floats(1e-300, 1.0))),
        outcomes=draw(arrays(np.float64, (n, 3), elements=outcome)),
        fold=np.zeros(n, dtype=np.int64),
        order=np.arange(n),
        expected_cost_usd=np.where(eligible, draw(arrays(np.float64, (n, k), elements=finite)), 0.0),
        cost_weight=draw(arrays(np.float64, n, elements=st.floats(0, 1e9))),
        decided_at=start + np.sort(draw(arrays(np.float64, n, elements=st.floats(0, 3e5)))),
        list_cost_usd=draw(st.just(()) | arrays(np.float64, n, elements=outcome)),
        task=draw(st.just(()) | arrays(np.int64, n, elements=st.integers(-1, 64))),
        reward_weight=draw(st.just(()) | arrays(np.float64, n, elements=st.floats(0.0, 1.0))),
    )


@settings(max_examples=60)
@given(blocks(), st.integers(1, 12))
def test_a_block_is_read_back_as_it_was_written(block: Block, rows_per_group: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_log(Path(folder) / "log", [block], rows_per_group=rows_per_group)
        with open_log(Path(folder) / "log") as log:
            assert (log.left_out, log.rows) == ({}, len(block))
            assert all(piece.rows <= rows_per_group for piece in log.pieces)
            assert_equal(read_all(log), known(block))


def test_the_blocks_may_be_written_in_pieces_of_any_size(tmp_path: Path) -> None:
    block = signalled(a_block())
    for size in (7, 250, 1000):
        folder = tmp_path / str(size)
        written = write_log(folder, (p.block for p in split(block, size)), rows_per_group=100)
        assert written.by_reason == {"policy": 600}
        with open_log(folder) as log:
            assert [piece.rows for piece in log.pieces] == [100] * 6
            assert_equal(read_all(log), known(block))
            for piece in log.pieces:
                read = piece.read()
                read.with_target(read.logged)


def test_the_ids_given_decide_the_folds(tmp_path: Path) -> None:
    block = a_block()
    ids = [f"decision-{i}" for i in range(600)]
    write_log(tmp_path / "log", [block], ids=[ids])
    with open_log(tmp_path / "log") as log:
        assert read_all(log).fold.tolist() == assign_folds(ids).tolist()


def test_ids_made_up_spread_evenly_over_the_folds() -> None:
    block = a_block(n=20_000)
    ids = make_ids(block)
    assert ids == sorted(set(ids))
    assert {len(i) for i in ids} == {36}
    counts = np.bincount(assign_folds(ids), minlength=FOLDS)
    assert np.abs(counts - 4_000).max() < 5 * np.sqrt(20_000 * 0.2 * 0.8)


def test_a_posterior_goes_with_the_log(tmp_path: Path) -> None:
    block = a_block()
    statistics = statistics_of(block)
    write_log(tmp_path / "log", [block], statistics=statistics, router="mine", reward_weights={"error": 1.0})
    with open_log(tmp_path / "log") as log:
        assert encode_statistics(log.statistics()) == encode_statistics(statistics)
        assert (log.info["router"], log.info["reward_weights"]) == ("mine", {"error": 1.0})
    (tmp_path / "log" / "posterior.bin").write_bytes(b"nonsense")
    with open_log(tmp_path / "log") as log, pytest.raises(SnapshotCorrupt, match="checksum"):
        log.statistics()


def test_blocks_of_different_logs_are_refused(tmp_path: Path) -> None:
    block = a_block()
    other = replace(block, x=block.x[:, 1:])
    with pytest.raises(InvalidInput, match="blocks: differ"):
        write_log(tmp_path / "log", [block, other])
    assert list(tmp_path.iterdir()) == []


def test_arms_are_those_that_were_eligible_in_the_order_of_the_log(tmp_path: Path) -> None:
    block = a_block()
    never = np.insert(block.eligible, 1, False, axis=1), np.insert(block.logged, 1, 0.0, axis=1)
    wider = replace(
        block,
        arms=(block.arms[0], "never", *block.arms[1:]),
        eligible=never[0],
        logged=never[1],
        expected_cost_usd=np.insert(block.expected_cost_usd, 1, 0.0, axis=1),
        action=block.action + (block.action > 0),
    )
    write_log(tmp_path / "log", [wider])
    with open_log(tmp_path / "log") as log:
        assert_equal(read_all(log), known(block))


# -- other writers --------------------------------------------------------------------------------


READ = [
    "id", "decided_at", "x", "schema_id", "eligible", "pmf", "costs_usd", "arm", "propensity", "reason",
    "cost_weight", "quality", "cost_usd", "reward",
]  # fmt: skip


def rewrite(folder: Path, change: Callable[[Any], Any], **options: Any) -> None:
    """Write every file of a log anew, its table changed."""
    for path in folder.rglob("*.parquet"):
        parquet.write_table(change(parquet.ParquetFile(path).read()), path, **options)


def with_column(table: Any, name: str, column: Any) -> Any:
    return table.set_column(table.schema.get_field_index(name), name, column)


def fixed_size(table: Any) -> Any:
    return with_column(table, "x", table["x"].cast(pa.list_(pa.float32(), len(table["x"][0]))))


def large(table: Any) -> Any:
    for name in ("pmf", "costs_usd"):
        table = with_column(table, name, table[name].cast(pa.large_list(pa.float64())))
    return with_column(table, "id", table["id"].cast(pa.large_string()))


def plain_text(table: Any) -> Any:
    for name in ("arm", "reason", "schema_id"):
        table = with_column(table, name, table[name].cast(pa.string()))
    return with_column(table, "eligible", table["eligible"].cast(pa.list_(pa.string())))


@pytest.mark.parametrize("change", [fixed_size, large, plain_text, lambda table: table.select(READ)])
@pytest.mark.parametrize("options", [{}, {"store_schema": False}, {"use_compliant_nested_type": False}])
def test_other_kinds_of_columns_are_read_all_the_same(
    tmp_path: Path, change: Callable[[Any], Any], options: dict[str, Any]
) -> None:
    block = a_block()
    block = replace(block, x=block.x.astype(np.float32).astype(np.float64))
    write_log(tmp_path / "log", [block])
    rewrite(tmp_path / "log", change, row_group_size=128, **options)
    with open_log(tmp_path / "log") as log:
        assert len(log.pieces) == 5
        assert_equal(read_all(log), known(block))


def test_files_of_any_name_are_put_in_order_of_time(tmp_path: Path) -> None:
    block = known(a_block())
    write_log(tmp_path / "log", [block], rows_per_group=60)
    (path,) = (tmp_path / "log").rglob("*.parquet")
    file = parquet.ParquetFile(path)
    for i in range(10):
        parquet.write_table(file.read_row_group(i), tmp_path / "log" / f"part-{(7 * i) % 10}.parquet")
    path.unlink()
    with open_log(tmp_path / "log") as log:
        assert_equal(read_all(log), block)


def test_a_log_json_that_knows_fewer_arms_than_the_rows_is_no_matter(tmp_path: Path) -> None:
    block = a_block()
    write_log(tmp_path / "log", [block])
    path = tmp_path / "log" / "log.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps(info | {"arms": ["large"]}))
    with open_log(tmp_path / "log") as log:
        assert log.arms == ("large", "huge", "medium", "small")
        read = read_all(log)
    columns = [block.arms.index(arm) for arm in log.arms]
    np.testing.assert_array_equal(read.logged, block.logged[:, columns])
    assert [log.arms[k] for k in read.action] == [block.arms[k] for k in block.action]


# -- what is no log -------------------------------------------------------------------------------


def refused(folder: Path) -> str:
    with pytest.raises(ConfigError) as error, open_log(folder):
        pass
    return str(error.value)


def test_what_is_no_log_says_so(tmp_path: Path) -> None:
    assert "bandit-router export" in refused(tmp_path / "missing")
    assert "bandit-router export" in refused(tmp_path)
    (tmp_path / "file").write_text("")
    assert "cannot be read: " in refused(tmp_path / "file")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "format is missing"),
        ('{"format": 1}', "router is missing, or no str"),
        ('{"format": 2}', "router is missing"),
    ],
)
def test_a_damaged_log_json_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "log.json").write_text(text)
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path}/log.json: ")
    assert says in message


def test_a_log_of_a_later_format_is_refused(tmp_path: Path) -> None:
    write_log(tmp_path / "log", [a_block()])
    path = tmp_path / "log" / "log.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    assert "has format 2, this package reads 1" in refused(tmp_path / "log")


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    write_log(tmp_path / "log", [a_block()])
    (path,) = (tmp_path / "log").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    assert refused(tmp_path / "log").startswith(f"{path}: cannot be read as Parquet")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.drop_columns(["pmf", "arm"]), "has no column arm, pmf"),
        (lambda t: with_column(t, "x", t["propensity"]), "column x holds double, not lists of numbers"),
        (lambda t: with_column(t, "pmf", t["eligible"]), "column pmf holds list<"),
        (lambda t: with_column(t, "eligible", t["arm"]), "not lists of text"),
        (lambda t: with_column(t, "reward", t["id"]), "column reward holds string, not numbers"),
        (lambda t: with_column(t, "id", t["reward"]), "column id holds double, not text"),
        (
            lambda t: with_column(t, "list_cost_usd", t["id"]),
            "list_cost_usd holds string, not numbers",
        ),
        (
            lambda t: with_column(t, "reward_weight", t["id"]),
            "reward_weight holds string, not numbers",
        ),
    ],
)
def test_a_file_with_other_columns_is_named(tmp_path: Path, change: Callable[[Any], Any], says: str) -> None:
    write_log(tmp_path / "log", [a_block()])
    rewrite(tmp_path / "log", change)
    message = refused(tmp_path / "log")
    assert message.startswith(f"{tmp_path}/log/day=")
    assert says in message


def test_without_pyarrow_it_says_how_to_get_it() -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from bandit_router.errors import ConfigError\n"
        "import bandit_router.evaluation.block, bandit_router.cli\n"
        "for name in ('read', 'write'):\n"
        "    try: __import__('bandit_router.evaluation.logs.' + name)\n"
        "    except ConfigError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    line = "reading and writing Parquet needs: pip install 'bandit-router[evaluation]'\n"
    assert done.stdout == 2 * line, done.stderr


def test_a_table_has_null_where_there_is_no_feedback() -> None:
    block = a_block()
    block.outcomes[::2, 1] = np.nan
    table = tabulate_block(block, make_ids(block), schema_id="s")
    assert table["quality"].null_count == 300
    assert table["reward"].null_count == 0
    unlogged = {"arms", "logged", "action", "outcomes", "fold", "order", "signals", "list_cost_usd"}
    unlogged |= {"reward_weight", "task"}  # null, too, where there is no reward or no task
    assert {f.name for f in fields(Block)} - unlogged == {
        "x", "eligible", "propensity", "expected_cost_usd", "cost_weight", "decided_at",
    }  # fmt: skip


# -- rows that are there twice --------------------------------------------------------------------


def test_two_exports_that_overlap_are_refused(tmp_path: Path) -> None:
    """Whatever their row groups are, also when only the last row of one is the first of the other."""
    block = a_block()
    ids = make_ids(block)
    for first, rows_per_group in ((300, 70), (300, 600), (399, 70), (0, 45)):
        folder = tmp_path / f"{first}-{rows_per_group}"
        early, late = (part(block, rows) for rows in (slice(0, 400), slice(first, 600)))
        write_log(folder, [early], ids=[ids[:400]], rows_per_group=50)
        write_log(tmp_path / "late", [late], ids=[ids[first:]], rows_per_group=rows_per_group)
        (tmp_path / "late").rename(folder / "late")
        message = refused(folder)
        assert "part-00000.parquet and " in message
        assert f"(first: {ids[first]}" in message
        assert "keep one of the exports that overlap" in message


def test_two_exports_of_different_times_are_one_log(tmp_path: Path) -> None:
    block = a_block()
    ids = make_ids(block)
    block = replace(block, decided_at=np.floor(block.decided_at))  # rows of both parts share a time
    for name, rows in (("log", slice(0, 400)), ("late", slice(400, 600))):
        write_log(tmp_path / name, [part(block, rows)], ids=[ids[rows]], rows_per_group=64)
    (tmp_path / "late").rename(tmp_path / "log" / "late")
    with open_log(tmp_path / "log") as log:
        assert (log.rows, log.left_out) == (600, {})


def part(block: Block, rows: slice) -> Block:
    arrays = {f.name: getattr(block, f.name)[rows] for f in fields(Block) if f.name != "arms"}
    return replace(block, **arrays)
