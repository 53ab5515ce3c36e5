"""Evidence made of datasets, logs and routers, beside the same made one row at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from bandit_router.errors import InvalidInput, StoreError
from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.logs.read import open_log
from bandit_router.evaluation.warm_start import evidence_from_dataset, evidence_from_log, evidence_from_router
from bandit_router.features import build_pipeline, estimate_tokens, read_query
from bandit_router.posterior.cost import compute_cost_root, compute_cost_roots
from bandit_router.types import Arm
from tests.evaluation.logs import export_of, opened, play

ARMS = tuple(
    Arm(name=name, provider="p", model=name, input_usd_per_mtok=usd, output_usd_per_mtok=2 * usd)
    for name, usd in (("small", 0.5), ("large", 4.0), ("free", 0.0))
)
DATA = Dataset(
    name="three",
    queries=("Why?", "Prove that there are infinitely many primes.", "def f(): return 1"),
    models=("gpt", "other", "small", "free"),
    quality=np.array([[0.1, 0.2, 0.3, 0.9], [0.4, 0.5, 0.6, 0.8], [0.7, 0.8, 0.9, 0.7]]),
    cost_usd=np.array([[1e-3, 1.0, 1e-4, 1e-4], [2e-3, 1.0, 2e-4, 1e-4], [0.0, 1.0, 0.0, 1e-4]]),
)


def test_labels_are_contexts_rewards_and_costs_beside_list_prices() -> None:
    pipeline = build_pipeline(embedding="none")
    found = evidence_from_dataset(DATA, ARMS, pipeline, {"gpt": "large"})
    assert found.arms == ("large", "small", "free")
    assert (found.queries, found.schema_id) == (3.0, pipeline.schema_id)
    for k, (name, column) in enumerate((("large", 0), ("small", 2), ("free", 3))):
        arm = next(arm for arm in ARMS if arm.name == name)
        cross, roots_cross, priced = np.zeros(pipeline.dim), np.zeros(pipeline.dim), 0
        for i, text in enumerate(DATA.queries):
            query = read_query(text)
            x = pipeline.context(query)
            cross += DATA.quality[i, column] * x
            root = compute_cost_root(
                float(DATA.cost_usd[i, column]), arm.expected_cost_usd(estimate_tokens(text))
            )
            if root is not None:
                roots_cross, priced = roots_cross + root * x, priced + 1
        np.testing.assert_allclose(found.rewards.cross[k], cross)
        np.testing.assert_allclose(found.costs.cross[k], roots_cross)
        assert found.costs.weight[k] == priced


def test_roots_are_those_of_one_call() -> None:
    cost, listed = np.array([0.0, 1.0, 4.0, 1e9, 1.0, np.nan]), np.array([1.0, 4.0, 1.0, 1.0, 0.0, 1.0])
    assert np.isnan(compute_cost_roots(np.ones(1), np.array([np.inf]))).all()
    for mine, c, u in zip(compute_cost_roots(cost, listed), cost, listed, strict=True):
        expected = compute_cost_root(None if np.isnan(c) else float(c), float(u))
        assert mine == expected or (expected is None and np.isnan(mine))


def test_a_dataset_of_other_models_is_refused() -> None:
    with pytest.raises(InvalidInput, match="none of gpt, other is an arm; say which is one of large"):
        evidence_from_dataset(DATA.only(["gpt", "other"]), ARMS[1:2], build_pipeline(embedding="none"))


def test_a_log_tells_what_its_router_has_learned(make_url_of_log: str, tmp_path: Path) -> None:
    """Of rewards and of costs; and the same from the database and from its export."""
    url = make_url_of_log
    learned = evidence_from_router(url, "default")
    export_of(url, tmp_path / "log")
    for source in (url, tmp_path / "log"):
        with open_log(source) as log:
            found = evidence_from_log(log, log.statistics(), {"small": "tiny"})
        assert sorted(found.arms) == sorted(a.replace("small", "tiny") for a in learned.arms)
        order = [found.arms.index(arm.replace("small", "tiny")) for arm in learned.arms]
        for mine, theirs in zip(
            (*found.rewards, *found.costs), (*learned.rewards, *learned.costs), strict=True
        ):
            np.testing.assert_allclose(mine[order], theirs, atol=1e-9)
        assert found.costs.weight.sum() > 10
        assert found.queries == max(found.rewards.weight.sum(), found.costs.weight.sum())
        assert found.queries == pytest.approx(learned.queries)


def test_a_log_without_list_prices_tells_nothing_of_costs(make_url_of_log: str, tmp_path: Path) -> None:
    export_of(make_url_of_log, tmp_path / "log")
    (file,) = (tmp_path / "log").rglob("*.parquet")
    parquet.write_table(parquet.read_table(file).drop_columns(["list_cost_usd"]), file)
    with open_log(tmp_path / "log") as log:
        found = evidence_from_log(log, log.statistics())
    assert found.rewards.weight.sum() > 10
    assert not any(part.any() for part in found.costs)


@pytest.fixture
def make_url_of_log(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    play(url)
    with opened(url) as router:
        router.learn()
    return url


def test_what_a_router_knows_from_elsewhere_is_passed_on(make_url_of_log: str) -> None:
    url = make_url_of_log
    before = evidence_from_router(url, "default")
    with opened(url) as router:
        router.warm_start(before, trust=before.queries / 2)
    after = evidence_from_router(url, "default")
    for mine, theirs in zip(after.rewards, before.rewards, strict=True):
        np.testing.assert_allclose(mine, 1.5 * theirs)


def test_a_router_that_is_not_there_is_named(make_url_of_log: str) -> None:
    with pytest.raises(StoreError, match="no router 'other'"):
        evidence_from_router(make_url_of_log, "other")
