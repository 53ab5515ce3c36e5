"""`verify` and `rebuild`: every invariant can be seen to fail when the database is tampered with."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bandit_router.posterior.state import decode_state, encode_state
from bandit_router.router import Router
from tests.cli.conftest import Run
from tests.cli.tampering import QUIET, newest, problems, tamper
from tests.services import write_settings


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with decisions on two snapshots, of which the newer has learned, and one newer still."""
    config = write_settings(tmp_path_factory.mktemp("taught"), learner=QUIET)
    with Router.open(config, rng=np.random.default_rng(0)) as router:
        for i in range(12):
            router.feedback(router.route(f"query {i}").id, quality=(i % 3) / 2)
        router.learn()
        later = [router.route(f"Why is {i} prime?", cost_weight=10.0).id for i in range(4)]
        router.feedback(later[0], quality=1.0)
        router.learn()
        assert router.verify().ok
    return config.with_name("router.db")


@pytest.fixture
def database(taught: Path, tmp_path: Path) -> Path:
    """A copy of it that may be tampered with; the newest decision is on the snapshot that has learned."""
    write_settings(tmp_path, learner=QUIET)
    return Path(shutil.copy(taught, tmp_path / "router.db"))


def test_an_untouched_database_verifies(run: Run, database: Path) -> None:
    assert database.exists()
    ran = run("verify")
    assert ran.code == 0
    assert ran.out.endswith("verify: ok\n")
    assert "decisions: 16" in ran.out
    assert "pmfs recomputed: 16" in ran.out


def test_verify_prints_json_for_programs(call: Run, database: Path) -> None:
    report = json.loads(call("verify", "--json").out)
    assert report["ok"]
    assert (report["decisions"], report["rewards_counted"], report["rewards_in_log"]) == (16, 13, 13)
    tamper(database, "UPDATE decisions SET propensity = 0.5 WHERE id = ?", newest(database))
    ran = call("verify", "--json")
    assert ran.code == 1
    assert not json.loads(ran.out)["ok"]


def test_a_database_without_the_router_does_not_verify(call: Run, tmp_path: Path) -> None:
    write_settings(tmp_path)
    assert f"there is no database {tmp_path / 'router.db'}" in call("verify").error
    assert not (tmp_path / "router.db").exists()
    call("migrate")
    assert "there is no router 'default' in this database" in problems(call("verify"))


def test_a_router_that_has_done_nothing_yet_verifies(call: Run, tmp_path: Path) -> None:
    write_settings(tmp_path)
    call("arms", "list")
    ran = call("verify")
    assert ran.code == 0
    assert "decisions: 0" in ran.out


def test_verify_changes_nothing_and_depends_on_no_settings(call: Run, database: Path) -> None:
    def content() -> list[str]:
        with closing(sqlite3.connect(database)) as connection:
            return list(connection.iterdump())

    before = content()
    write_settings(
        database.parent, arms=(), posterior={"prior_mean": 0.9}, reward={"weights": {"error": 1.0}}
    )
    assert call("verify").out.endswith("verify: ok\n")
    assert content() == before
    change_sums(database)
    tampered = content()
    assert tampered != before
    problems(call("verify"))
    assert content() == tampered


IN_DECISIONS = {
    "a PMF that sums to more": ("pmf = '[0.5, 0.6]'", "its PMF sums to 1.1"),
    "another PMF": ("pmf = '[0.125, 0.875]'", "its PMF differs by"),
    "another propensity": ("propensity = 0.5", "propensity 0.5 is not its PMF's"),
    "another arm": ("arm = CASE arm WHEN 'small' THEN 'large' ELSE 'small' END", "is not its PMF's"),
    "another context": ("x = (SELECT x FROM decisions ORDER BY id LIMIT 1)", "its PMF differs by"),
    "another cost weight": ("cost_weight = 1000.0", "its PMF differs by"),
    "other costs": ("costs_usd = '[0.5, 0.0]'", "its PMF differs by"),
    "another policy": ("policy = 'uniform'", "its PMF differs by"),
    "another reason": ("reason = 'tier'", "its reason is tier, its policy's is policy"),
    "no policy": ("policy = 'magic'", "its PMF cannot be recomputed"),
    "another snapshot": ("snapshot = 2", "its PMF differs by"),
    "other arms": ('eligible = \'["large", "medium"]\'', "its PMF cannot be recomputed"),
}


@pytest.mark.parametrize(("change", "says"), IN_DECISIONS.values(), ids=IN_DECISIONS)
def test_a_decision_that_was_changed_is_named(call: Run, database: Path, change: str, says: str) -> None:
    decision = newest(database)
    tamper(database, f"UPDATE decisions SET {change} WHERE id = ?", decision)
    named = problems(call("verify"))
    assert f"decision {decision}: " in named
    assert says in named


def test_signals_that_were_changed_are_named(call: Run, tmp_path: Path) -> None:
    tiers = {"premium": "large", "else": "[heuristic:cheap=small,expensive=large]"}
    config = write_settings(tmp_path, learner=QUIET, policy={"name": "tier", "tiers": tiers})
    with Router.open(config, rng=np.random.default_rng(0)) as router:
        premium = router.route("Hello", user_tier="premium").id
        other = router.route("Hello").id
    assert call("verify").code == 0
    tamper(tmp_path / "router.db", "UPDATE decisions SET signals = NULL WHERE id = ?", premium)
    scored = "UPDATE decisions SET signals = '{\"complexity\": 1.0}' WHERE id = ?"
    tamper(tmp_path / "router.db", scored, other)
    named = problems(call("verify"))
    assert f"decision {premium}: its PMF differs by" in named
    assert f"decision {premium}: its reason is tier, its policy's is policy" in named
    assert f"decision {other}: its PMF differs by" in named


FIRST = "(SELECT min(decision_id) FROM feedback)"
IN_FEEDBACK = {
    "a value": (f"UPDATE feedback SET value = 0.625 WHERE decision_id = {FIRST}", "the log says 0.625"),
    "a retraction": (f"UPDATE feedback SET value = NULL WHERE decision_id = {FIRST}", "the log says nothing"),
    "a missing row": (f"DELETE FROM feedback WHERE decision_id = {FIRST}", "the posterior differs by inf"),
    "a counted reward": (f"UPDATE folded SET value = 0.625 WHERE decision_id = {FIRST}", "counted 0.625"),
    "a forgotten reward": (
        f"DELETE FROM folded WHERE decision_id = {FIRST}",
        "counts 13 rewards, 12 are on record",
    ),
    "an invented reward": (
        "INSERT INTO folded SELECT router, 1, 'reward', max(id), 1.0, 3, 1.0 FROM decisions",
        "counts 13 rewards, 14 are on record",
    ),
    "an older snapshot": ("UPDATE routers SET version = version - 1", "counts 12 rewards, 13 are on record"),
}


@pytest.mark.parametrize(("statement", "says"), IN_FEEDBACK.values(), ids=IN_FEEDBACK)
def test_feedback_and_posterior_that_disagree_are_named(
    call: Run, database: Path, statement: str, says: str
) -> None:
    tamper(database, statement)
    assert says in problems(call("verify"))


def test_a_lost_pending_mark_is_named(call: Run, database: Path) -> None:
    decision = newest(database)
    with Router.open(database.with_name("router.toml")) as router:
        router.feedback(decision, quality=0.75)
    tamper(database, "DELETE FROM pending")
    assert f"decision {decision}: counted nothing, the log says 0.75" in problems(call("verify"))


def test_a_snapshot_of_logged_decisions_that_is_damaged_is_named(call: Run, database: Path) -> None:
    damaged = "UPDATE snapshots SET state = CAST(substr(state, 1, 500) AS BLOB) WHERE version = 3"
    tamper(database, damaged)
    assert "snapshot 3: the snapshot has 500 bytes, its header says" in problems(call("verify"))
    assert call("rebuild").code == 0  # which the error advises
    assert call("verify").out.endswith("verify: ok\n")


Change = Callable[[Path], None]


def change_sums(database: Path) -> None:
    """Give the newest snapshot other sums, with a checksum that is right."""
    with closing(sqlite3.connect(database)) as connection, connection:
        version, blob = connection.execute("SELECT max(version), state FROM snapshots").fetchone()
        state = decode_state(blob)
        state.rewards.cross[0, 0] += 0.5
        update = "UPDATE snapshots SET state = ? WHERE version = ?"
        connection.execute(update, (encode_state(state), version))


def damage(database: Path) -> None:
    """Flip bytes of the newest snapshot."""
    newest_one = "version = (SELECT max(version) FROM snapshots)"
    tamper(database, f"UPDATE snapshots SET state = x'00' WHERE {newest_one}")


def lose(database: Path) -> None:
    """Delete the newest snapshot."""
    tamper(database, "DELETE FROM snapshots WHERE version = (SELECT max(version) FROM snapshots)")


def test_a_snapshot_that_is_not_what_the_log_says_is_named_and_rebuilt(run: Run, database: Path) -> None:
    change_sums(database)
    assert "rebuilt from the log, the posterior differs by" in problems(run("verify"))
    rebuilt = run("rebuild")
    assert rebuilt.code == 0
    assert "13 rewards" in rebuilt.out
    assert run("verify").out.endswith("verify: ok\n")


@pytest.mark.parametrize("harm", [damage, lose])
def test_a_newest_snapshot_that_cannot_be_read_is_rebuilt(call: Run, database: Path, harm: Change) -> None:
    harm(database)
    assert "13 rewards" in call("rebuild").out
    assert call("verify").out.endswith("verify: ok\n")


@pytest.mark.parametrize("harm", [damage, lose])
def test_verify_names_a_newest_snapshot_that_cannot_be_read(call: Run, database: Path, harm: Change) -> None:
    harm(database)
    assert "snapshot 4" in problems(call("verify"))


UNREADABLE = {
    "a shorter PMF": "pmf = '[1.0]'",
    "a PMF that is no JSON": "pmf = 'half each'",
    "a context cut short": "x = substr(x, 1, 20)",
    "a context of another length": "x = substr(x, 1, 24)",
    "an unknown reason": "reason = 'whim'",
    "an unknown arm": "arm = 'medium'",
}


@pytest.mark.parametrize("change", UNREADABLE.values(), ids=UNREADABLE)
def test_a_decision_that_cannot_be_read_is_named(call: Run, database: Path, change: str) -> None:
    tamper(database, f"UPDATE decisions SET {change} WHERE id = {FIRST}")
    assert "decision " in problems(call("verify"))


def test_other_reward_weights_are_learned_anew(call: Run, database: Path) -> None:
    decision = newest(database)
    with Router.open(database.with_name("router.toml")) as router:
        router.feedback(decision, quality=1.0, error=1.0)
        router.learn()
    write_settings(database.parent, learner=QUIET, reward={"weights": {"quality": 1.0, "error": 1.0}})
    assert call("apply").code == 0
    assert call("verify").out.endswith("verify: ok\n")
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT value FROM folded WHERE quantity = 'reward' AND decision_id = ?"
        assert connection.execute(query, (decision,)).fetchone() == (0.5,)


IN_CONVERSATIONS = {
    "another arm": ("arm = CASE arm WHEN 'small' THEN 'large' ELSE 'small' END", "chose its arm"),
    "a choice that is not in the log": ("choice = 'nobody'", "chose its arm"),
    "a promotion that never was": ("promoted = TRUE", "chose its arm"),
}


@pytest.mark.parametrize(("change", "says"), IN_CONVERSATIONS.values(), ids=IN_CONVERSATIONS)
def test_a_conversation_that_is_not_what_its_choice_says_is_named(
    call: Run, tmp_path: Path, change: str, says: str
) -> None:
    with Router.open(write_settings(tmp_path, learner=QUIET)) as router:
        router.route("a", conversation="chat")
        router.route("b", conversation="chat")
    assert call("verify").code == 0
    tamper(tmp_path / "router.db", f"UPDATE conversations SET {change}")
    found = problems(call("verify"))
    assert "conversation 'chat'" in found
    assert says in found


def test_a_pinned_decision_that_was_not_certain_is_named(call: Run, tmp_path: Path) -> None:
    with Router.open(write_settings(tmp_path, learner=QUIET)) as router:
        made = router.route("a", override="small")
    values = "pmf = '[0.5, 0.5]', propensity = 0.5"
    tamper(tmp_path / "router.db", f"UPDATE decisions SET {values} WHERE id = ?", made.id)
    assert "override with propensity 0.5, not 1" in problems(call("verify"))
