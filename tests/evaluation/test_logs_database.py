"""The log of a real database, exported and read back, beside what the store says row by row."""

from __future__ import annotations

import json
import pickle
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import uuid_utils
from sqlalchemy import event

from bandit_router.errors import ConfigError, InvalidInput, RouterError, StoreError
from bandit_router.evaluation.logs.read import open_log
from bandit_router.evaluation.logs.schema import SCHEMA, parquet
from bandit_router.posterior.codec import decode_statistics, encode_statistics
from bandit_router.posterior.state import decode_state
from bandit_router.store.store import Store
from bandit_router.store.tables import routers, snapshots
from bandit_router.types import METRICS, Decision, Reason
from tests.databases import sql
from tests.evaluation.logs import (
    WEIGHTS,
    add,
    assert_equal,
    export_of,
    opened,
    play,
    read_all,
    row_by_row,
    say,
)


def test_blocks_are_what_the_store_says_row_by_row(url: str, tmp_path: Path) -> None:
    ids = play(url)
    done = export_of(url, tmp_path / "log")
    assert (done.rows, done.by_reason, done.unreadable) == (60, {"policy": 60}, 0)
    with open_log(tmp_path / "log") as log:
        block = read_all(log)
        assert (log.rows, log.left_out) == (60, {})
    assert set(block.arms) == {"small", "medium", "large", "late"}
    assert_equal(block, row_by_row(url, ids, block.arms))
    seen = ~np.isnan(block.outcomes[:, 0])
    assert 20 <= seen.sum() < 60, "some have a reward, some have none"
    block.with_target(block.logged)


def test_missing_feedback_is_not_a_number_and_never_zero(url: str, tmp_path: Path) -> None:
    with opened(url) as router:
        silent, retracted, failed = (router.route("a").id for _ in range(3))
        router.feedback(retracted, quality=0.5, cost_usd=0.1)
        router.feedback(retracted, quality=None, cost_usd=None)
        router.feedback(failed, error=1.0)
    export_of(url, tmp_path / "log")
    with open_log(tmp_path / "log") as log:
        reward, quality, cost = read_all(log).outcomes.T
    assert silent < retracted < failed
    np.testing.assert_array_equal(reward, [np.nan, np.nan, 0.0])
    np.testing.assert_array_equal(quality, [np.nan] * 3)
    np.testing.assert_array_equal(cost, [np.nan] * 3)


def test_a_url_and_a_folder_give_the_same_bits(url: str, tmp_path: Path) -> None:
    play(url)
    export_of(url, tmp_path / "log", rows_per_group=7)
    with open_log(tmp_path / "log") as one, open_log(url) as other:
        assert_equal(read_all(one), read_all(other))
        assert encode_statistics(one.statistics()) == encode_statistics(other.statistics())
        scratch = other.folder
        assert scratch.exists()
    assert not scratch.exists()


def test_an_open_log_does_not_hear_of_what_is_logged_meanwhile(url: str) -> None:
    ids = play(url)
    with open_log(url) as log:
        with opened(url) as router:
            router.route("too late")
            router.feedback(ids[0], quality=1.0)
        block = read_all(log)
        assert len(block) == 60
        assert np.isnan(block.outcomes[0, 0])


def test_one_export_is_of_one_moment(url: str, tmp_path: Path) -> None:
    ids = play(url)
    with closing(Store.open(url, "default")) as store, store.read_log() as audit:
        chunks = audit.log(size=7)
        seen = next(chunks)
        add(url, ids[0], id=str(uuid_utils.uuid7()))
        say(url, ids[-6], quality=0.123)
        seen += [row for chunk in chunks for row in chunk]
    assert len(seen) == 60
    assert all(row[1].get("quality") != 0.123 for row in seen if isinstance(row[1], dict))
    export_of(url, tmp_path / "log")
    with open_log(tmp_path / "log") as log:
        assert log.rows == 61


def test_the_log_is_streamed_by_two_statements_for_every_chunk(url: str) -> None:
    ids = play(url)
    statements: list[str] = []
    with closing(Store.open(url, "default")) as store, store.read_log() as audit:
        event.listen(audit.connection.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
        chunks = [[row[0] for row in chunk] for chunk in audit.log(size=25)]
    assert [len(chunk) for chunk in chunks] == [25, 25, 10]
    assert [decision.id for chunk in chunks for decision in chunk if isinstance(decision, Decision)] == ids
    assert len([text for text in statements if text.startswith("SELECT")]) == 2 * 3 + 1


def test_only_rows_whose_reason_is_policy_are_read_the_others_counted_and_named(
    url: str, tmp_path: Path
) -> None:
    ids = play(url, 12)
    others = [reason for reason in Reason if reason is not Reason.POLICY]
    added = {r: [add(url, ids[0], id=str(uuid_utils.uuid7()), reason=r) for _ in range(7)] for r in others}
    done = export_of(url, tmp_path / "log")
    assert done.by_reason == {"policy": 12} | {reason.value: 7 for reason in others}
    with open_log(tmp_path / "log") as log:
        assert log.rows == 12
        assert {name: (found.count, list(found.ids)) for name, found in log.left_out.items()} == {
            reason.value: (7, some[:5]) for reason, some in added.items()
        }
        assert_equal(read_all(log), row_by_row(url, ids, log.arms))
        assert log.info["rows"] == done.by_reason


def test_contexts_of_another_pipeline_are_left_out(url: str, tmp_path: Path) -> None:
    ids = play(url, 12)
    other = add(url, ids[0], id=str(uuid_utils.uuid7()), schema_id="other")
    shorter = add(url, ids[0], id=str(uuid_utils.uuid7()), x=np.ones(2))
    export_of(url, tmp_path / "log")
    with open_log(tmp_path / "log") as log:
        assert log.rows == 12
        assert {name: found.ids for name, found in log.left_out.items()} == {
            "another schema": (other,),
            "another dimension": (shorter,),
        }


def test_every_column_is_exported(url: str, tmp_path: Path) -> None:
    ids = play(url, 6)
    given = {"conversation": "c", "parent": ids[0], "query": "Why? ✓", "task": 2}
    everything = add(url, ids[1], id=str(uuid_utils.uuid7()), **given)
    said = {
        "quality": 0.5,
        "satisfaction": 0.25,
        "error": 0.0,
        "cost_usd": 0.1,
        "latency_s": 2.0,
        "override": 1.0,
        "confidence": 0.75,
        "ttft_s": 0.5,
        "refusal": 0.0,
        "truncated": 1.0,
        "empty": 0.0,
        "invalid_json": 1.0,
        "tool_error": 0.0,
        "regenerated": 1.0,
        "abandoned": 0.0,
        "judged": 0.5,
    }
    say(url, everything, **said, stars=0.75)
    export_of(url, tmp_path / "log")
    (path,) = (tmp_path / "log").rglob("*.parquet")
    assert parquet.read_schema(path).equals(SCHEMA)
    row = parquet.ParquetFile(path).read().to_pylist()[-1]
    with closing(Store.open(url, "default")) as store:
        decision = store.decision(everything)
    assert {name: row[name] for name in METRICS} == said
    assert row["reward"] == pytest.approx((2 * 0.5 + 0.25) / 3)
    assert row["reward_weight"] == 1.0
    derived = {"reward", "reward_weight", "costs_usd", "signals", "own_metrics"}
    for name in set(SCHEMA.names) - METRICS.keys() - derived:
        expected = getattr(decision, name)
        assert row[name] == (list(expected) if name in ("x", "pmf", "eligible") else expected), name
    assert json.loads(row["own_metrics"]) == {"stars": 0.75}
    assert json.loads(row["signals"]) == decision.signals != {}
    assert row["costs_usd"] == list(decision.expected_costs_usd)


def test_log_json_says_what_log_it_is(url: str, tmp_path: Path) -> None:
    play(url)
    export_of(url, tmp_path / "log")
    with open_log(tmp_path / "log") as log, closing(Store.open(url, "default")) as store:
        head = store.head()
        assert head is not None
        assert log.info["router"] == "default"
        assert (log.info["schema_id"], log.info["snapshot"]) == (head.schema_id, head.version)
        assert log.info["reward_weights"] == WEIGHTS
        assert log.info["arms"] == list(log.statistics().arms)
        assert log.info["dim"] == log.statistics().dim
        snapshot = store.snapshot(head.version)
        assert snapshot is not None
        assert encode_statistics(log.statistics()) == encode_statistics(decode_state(snapshot).rewards)


def test_several_pieces_are_one_log(url: str, tmp_path: Path) -> None:
    play(url)
    export_of(url, tmp_path / "one")
    export_of(url, tmp_path / "many", rows_per_group=7, rows_per_file=21)
    with open_log(tmp_path / "one") as one, open_log(tmp_path / "many") as many:
        assert [piece.rows for piece in one.pieces] == [60]
        assert [piece.rows for piece in many.pieces] == [7] * 8 + [4]
        assert [piece.first for piece in many.pieces] == list(range(0, 60, 7))
        assert len({piece.path for piece in many.pieces}) == 3
        assert_equal(read_all(one), read_all(many))


def test_a_log_and_its_pieces_can_be_sent_to_another_process(sqlite_url: str, tmp_path: Path) -> None:
    play(sqlite_url, 12)
    export_of(sqlite_url, tmp_path / "log")
    with open_log(tmp_path / "log") as log:
        again = pickle.loads(pickle.dumps(log))
        assert again == log
        assert_equal(read_all(again), read_all(log))


def test_an_empty_log_is_exported_and_read(url: str, tmp_path: Path) -> None:
    with opened(url):
        pass
    assert export_of(url, tmp_path / "log").rows == 0
    with open_log(tmp_path / "log") as log:
        assert (log.rows, log.pieces, log.arms, log.left_out) == (0, (), (), {})
        assert log.info["dim"] == log.statistics().dim


@pytest.mark.parametrize("blob", [b"nonsense", None])
def test_a_log_without_a_usable_snapshot_is_exported_without(
    url: str, tmp_path: Path, blob: bytes | None
) -> None:
    ids = play(url, 12)
    with sql(url) as connection:
        connection.execute(snapshots.delete() if blob is None else snapshots.update().values(state=blob))
    export_of(url, tmp_path / "log")
    with open_log(tmp_path / "log") as log:
        assert_equal(read_all(log), row_by_row(url, ids, log.arms))
        with pytest.raises(ConfigError, match="learned policies cannot be scored"):
            log.statistics()


def test_a_router_that_is_not_there_is_an_error(url: str, tmp_path: Path) -> None:
    play(url, 3)
    with pytest.raises(StoreError, match="no router 'other'"), open_log(url, "other"):
        pass
    with pytest.raises(StoreError, match="no router 'other'"):
        export_of(url, tmp_path / "log", "other")
    assert not (tmp_path / "log").exists()


# -- the folder -----------------------------------------------------------------------------------


def test_only_a_missing_or_empty_folder_is_written_to(sqlite_url: str, tmp_path: Path) -> None:
    play(sqlite_url, 3)
    folder = tmp_path / "deep" / "log"
    export_of(sqlite_url, folder)
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    with pytest.raises(InvalidInput, match=re.escape(f"folder: {folder} exists and is not empty")):
        export_of(sqlite_url, folder)
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(InvalidInput, match="not empty"):
        export_of(sqlite_url, file)
    assert file.read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert export_of(sqlite_url, tmp_path / "empty").rows == 3


def test_an_export_that_fails_leaves_nothing_behind(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(sqlite_url, 30)
    there = tmp_path / "there"
    there.mkdir()

    def full(*_: object, **__: object) -> None:
        (half,) = there.iterdir()
        assert any(half.rglob("*.parquet")), "it fails when most of the work is done"
        assert not (there / "log").exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bandit_router.evaluation.logs.write._write_info", full)
    with pytest.raises(RouterError, match="cannot be written: No space left on device"):
        export_of(sqlite_url, there / "log", rows_per_group=5)
    assert list(there.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_clear_error(sqlite_url: str, tmp_path: Path) -> None:
    play(sqlite_url, 3)
    (tmp_path / "file").write_text("")
    with pytest.raises(RouterError, match="cannot be written: Not a directory"):
        export_of(sqlite_url, tmp_path / "file" / "log")


def test_days_are_folders_and_files_stay_small(url: str, tmp_path: Path) -> None:
    ids = play(url, 3)
    midnight = 1_700_006_400.0
    moments = midnight + np.arange(-50, 50) + 0.5
    for at in moments:
        add(url, ids[0], id=str(uuid_utils.uuid7()), decided_at=float(at))
    export_of(url, tmp_path / "log", rows_per_group=8, rows_per_file=20)
    for day, rows in (("2023-11-14", 50), ("2023-11-15", 50)):
        files = sorted((tmp_path / "log" / f"day={day}").iterdir())
        assert [path.name for path in files] == [f"part-{i:05}.parquet" for i in range(len(files))]
        metadata = [parquet.read_metadata(path) for path in files]
        assert sum(m.num_rows for m in metadata) == rows
        assert all(m.num_rows <= 20 for m in metadata)
        assert all(m.row_group(i).num_rows <= 8 for m in metadata for i in range(m.num_row_groups))
    with open_log(tmp_path / "log") as log:
        assert read_all(log).decided_at[:100].tolist() == moments.tolist()
        assert [p.first for p in log.pieces] == np.cumsum([0, *(p.rows for p in log.pieces[:-1])]).tolist()


def test_another_router_of_the_same_database_is_not_exported(url: str, tmp_path: Path) -> None:
    play(url, 6)
    with sql(url) as connection:
        (row,) = connection.execute(routers.select()).mappings()
        connection.execute(routers.insert().values({**row, "name": "other"}))
    assert export_of(url, tmp_path / "log", "other").rows == 0
    assert json.loads((tmp_path / "log" / "log.json").read_text())["router"] == "other"
    assert not (tmp_path / "log" / "posterior.bin").exists()
    export_of(url, tmp_path / "mine")
    assert decode_statistics((tmp_path / "mine" / "posterior.bin").read_bytes()).count.sum() > 0
