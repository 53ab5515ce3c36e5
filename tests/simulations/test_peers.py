"""Other libraries as agents: all keep the contract, and choose what their library chooses."""

from __future__ import annotations

import pickle
import sys
from typing import Any, Literal

import numpy as np
import pytest

from bandit_router.errors import ConfigError
from bandit_router.evaluation.simulation.agents import MakeAgent
from bandit_router.evaluation.simulation.events import apply_events, parse_event
from simulations.peers import PEERS
from simulations.peers.contextual import ContextualBanditsMaker
from simulations.peers.mabwiser import MABWiserMaker
from simulations.peers.paretobandit import PacedMaker, ParetoBanditMaker
from simulations.peers.vowpal_wabbit import VowpalWabbitMaker
from tests.simulations.worlds import ARMS, LAMBDA, a_setting, actions, an_easy_stream

LIBRARIES = {
    "MABWiser": "mabwiser",
    "paretobandit": "pareto_bandit",
    "Vowpal": "vowpalwabbit",
    "contextualbandits": "contextualbandits",
}

STUCK = (ParetoBanditMaker(setting="router"), ParetoBanditMaker(setting="policy"))
"""An α of 0.01, meant for warm-up priors, never leaves the cheapest arm from a cold start."""


def library(name: str) -> str:
    return next(module for start, module in LIBRARIES.items() if name.startswith(start))


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> MakeAgent:
    if library(request.param) != "pareto_bandit":  # that one is among the development dependencies
        pytest.importorskip(library(request.param))
    return PEERS[request.param]


def test_every_peer_takes_eligible_arms_only(peer: MakeAgent) -> None:
    events = ["leave:small@60", "join:medium@30", "join:large@10"]
    stream = apply_events(an_easy_stream(90), [parse_event(text) for text in events])
    taken = actions(stream, peer)
    assert stream.eligible[np.arange(90), taken].all()
    assert set(taken[60:]) <= {1, 2}


def test_every_peer_repeats_itself_under_a_seed(peer: MakeAgent) -> None:
    stream = an_easy_stream(120)
    np.testing.assert_array_equal(actions(stream, peer, seed=3), actions(stream, peer, seed=3))


def test_every_peer_travels_to_another_process(peer: MakeAgent) -> None:
    assert pickle.loads(pickle.dumps(peer)) == peer


def test_peers_learn_what_is_easy(peer: MakeAgent) -> None:
    """Uniform random earns 0.357 a query, the right arm 0.89; the last half has to be above 0.557."""
    if peer in STUCK:
        assert len(set(actions(an_easy_stream(1000), peer))) == 1
        return
    stream = an_easy_stream(1000)
    utility = stream.quality - LAMBDA * stream.cost_usd
    earned = utility[np.arange(1000), actions(stream, peer)]
    assert earned[500:].mean() > utility.mean() + 0.2


@pytest.mark.parametrize("name", PEERS)
def test_a_library_that_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = library(name)
    for module in [module for module in sys.modules if module.partition(".")[0] == gone]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, gone, None)
    with pytest.raises(ConfigError, match=f"{gone} is missing: pip install 'bandit-router\\[simulations\\]'"):
        PEERS[name](a_setting(an_easy_stream(1)))


# -- the same choices as the library, used directly ----------------------------------------------------


def seed_and_rest(seed: int) -> tuple[int, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return int(rng.integers(2**31)), rng


@pytest.mark.parametrize("policy", ["LinUCB", "LinTS"])
@pytest.mark.parametrize("alpha", [1.0, 0.1])
def test_mabwiser_chooses_what_mabwiser_chooses(policy: Literal["LinUCB", "LinTS"], alpha: float) -> None:
    mab = pytest.importorskip("mabwiser.mab")
    stream = an_easy_stream(150)
    rng = np.random.default_rng(7)
    listed = [ARMS[k] for k in rng.permutation(3)]
    learning = getattr(mab.LearningPolicy, policy)(alpha=alpha)
    bandit = mab.MAB(listed, learning, seed=int(rng.integers(2**31)))
    bandit.fit([], [], np.empty((0, 6)))
    expected = []
    for x, quality, cost in zip(stream.x, stream.quality, stream.cost_usd, strict=True):
        arm = bandit.predict([x.tolist()])
        expected.append(k := ARMS.index(arm))
        bandit.partial_fit([arm], [quality[k] - LAMBDA * cost[k]], [x.tolist()])
    assert actions(stream, MABWiserMaker(policy=policy, alpha=alpha), seed=7).tolist() == expected
    assert len(set(expected)) > 1


def test_paretobandit_chooses_what_its_router_chooses_when_cost_weighs_nothing() -> None:
    from pareto_bandit import BanditRouter
    from pareto_bandit.feature_service import FeatureService

    stream = an_easy_stream(150)
    price = {"input_cost_per_m": 1.0, "output_cost_per_m": 1.0}
    router = BanditRouter.create(
        model_registry={arm: dict(price) for arm in ARMS},
        priors="none",
        feature_service=FeatureService.for_precomputed(6),
        cost_penalty=0.0,
        alpha=0.3,
        bandit_seed=seed_and_rest(7)[0],
    )
    expected = []
    for x, quality in zip(stream.x, stream.quality, strict=True):
        arm, log = router.route(x)
        expected.append(ARMS.index(arm))
        router.process_feedback(log.request_id, reward=float(quality[ARMS.index(arm)]))
    maker = ParetoBanditMaker(setting="router", alpha=0.3)
    assert actions(stream, maker, seed=7, cost_weight=0.0).tolist() == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize(
    ("maker", "options"),
    [
        (ParetoBanditMaker(setting="policy"), {}),
        (ParetoBanditMaker(), {"alpha": 0.05, "forgetting_factor": 0.997}),
        (ParetoBanditMaker(alpha=0.3), {"alpha": 0.3, "forgetting_factor": 0.997}),
    ],
)
def test_paretobandit_chooses_what_its_policy_chooses(
    maker: ParetoBanditMaker, options: dict[str, Any]
) -> None:
    from pareto_bandit.policy import DisjointLinUCBPolicy

    stream = an_easy_stream(150)
    policy = DisjointLinUCBPolicy(list(ARMS), dim=6, seed=seed_and_rest(7)[0], **options)
    penalties = {"small": LAMBDA * 1e-4, "medium": LAMBDA * 1e-3, "large": LAMBDA * 2e-3}
    expected = []
    for x, quality in zip(stream.x, stream.quality, strict=True):
        arm, _ = policy.select_arm(x, cost_penalties=penalties)
        policy.mark_selected(arm)
        expected.append(ARMS.index(arm))
        policy.update(arm, x, float(quality[ARMS.index(arm)]), advance_time=False)
    assert actions(stream, maker, seed=7).tolist() == expected


def test_paretobandit_is_paced_as_its_router_is_paced() -> None:
    """Through a price cut, at prices of calls of 1,000 tokens; unpaced it would choose otherwise."""
    from pareto_bandit import BanditRouter
    from pareto_bandit.budget_pacer import BudgetPacer
    from pareto_bandit.feature_service import FeatureService

    stream = apply_events(an_easy_stream(300), [parse_event("price:large@150=0.1")])
    taken = []
    for pacer in (BudgetPacer(3e-4), None):
        router = BanditRouter.create(
            model_registry={
                arm: {"input_cost_per_m": price, "output_cost_per_m": price}
                for arm, price in zip(ARMS, (0.1, 1.0, 2.0), strict=True)
            },
            priors="none",
            feature_service=FeatureService.for_precomputed(6),
            cost_penalty=0.0,
            alpha=0.3,
            forgetting_factor=0.997,
            budget_pacer=pacer,
            bandit_seed=seed_and_rest(7)[0],
        )
        chosen = []
        for t in range(300):
            if t == 150:
                router.update_model_pricing("large", input_cost_per_m=0.2, output_cost_per_m=0.2)
            arm, log = router.route(stream.x[t])
            chosen.append(k := ARMS.index(arm))
            log.cost_usd = float(stream.cost_usd[t, k])
            router.process_feedback(log.request_id, reward=float(stream.quality[t, k]))
        taken.append(chosen)
    expected, unpaced = taken
    assert actions(stream, PacedMaker(budget_usd=3e-4, alpha=0.3), seed=7).tolist() == expected
    assert expected[150:] != unpaced[150:]


def test_vowpal_wabbit_chooses_what_vowpal_wabbit_chooses() -> None:
    vowpalwabbit = pytest.importorskip("vowpalwabbit")
    stream = an_easy_stream(150)
    seed, rng = seed_and_rest(7)
    arguments = f"--cb_explore_adf --squarecb --quiet --interactions sa --random_seed {seed}"
    workspace = vowpalwabbit.Workspace(arguments)
    expected = []
    for x, quality, cost in zip(stream.x, stream.quality, stream.cost_usd, strict=True):
        shared = "shared |s " + " ".join(f"{i}:{x[i]:.9g}" for i in range(6))
        pmf = workspace.predict([shared, "|a 0", "|a 1", "|a 2"])
        k = int(np.searchsorted(np.cumsum(pmf), rng.random(), side="right"))
        expected.append(k)
        lines = ["|a 0", "|a 1", "|a 2"]
        lines[k] = f"0:{LAMBDA * cost[k] - quality[k]:.9g}:{pmf[k]:.9g} {lines[k]}"
        workspace.learn([shared, *lines])
    assert actions(stream, VowpalWabbitMaker(), seed=7).tolist() == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("policy", ["LinUCB", "AdaptiveGreedy"])
def test_contextualbandits_chooses_what_contextualbandits_chooses(
    policy: Literal["LinUCB", "AdaptiveGreedy"],
) -> None:
    online, linear = (pytest.importorskip(n) for n in ("contextualbandits.online", "sklearn.linear_model"))
    stream = an_easy_stream(150)
    seed, rng = seed_and_rest(7)
    if policy == "LinUCB":
        bandit = online.LinUCB(3, random_state=seed)
    else:
        base = linear.SGDClassifier(loss="log_loss", random_state=seed)
        bandit = online.AdaptiveGreedy(base, 3, batch_train=True, random_state=seed, njobs=1)
    expected = []
    for x, quality, cost in zip(stream.x, stream.quality, stream.cost_usd, strict=True):
        (k,) = bandit.predict(x.reshape(1, -1))
        expected.append(int(k))
        reward = 1 if rng.random() < quality[k] - LAMBDA * cost[k] else 0
        bandit.partial_fit(x.reshape(1, -1), np.array([k]), np.array([reward]))
    assert actions(stream, ContextualBanditsMaker(policy=policy), seed=7).tolist() == expected
    assert len(set(expected)) > 1
