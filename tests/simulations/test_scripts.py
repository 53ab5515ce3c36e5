"""The scripts run end to end, and what is wrong is one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.stream import Stream
from simulations.peers import PEERS
from simulations.show import OURS
from simulations.warm_start import AGENTS, KeptArm, WrongLabels, keep_best
from tests.services import run_module
from tests.simulations.conftest import Figures
from tests.simulations.worlds import LAMBDA, ROOT, a_setting, an_easy_stream


def test_regret_plays_our_policies_beside_the_baselines(figures: Figures) -> None:
    shown, found = figures("regret", "--streams", "zeroeval8", "mixed")
    assert set(found) == {"zeroeval8", "mixed"}
    roles = {one["role"] for one in found["mixed"]["policies"]}
    assert roles == {"policy", "fixed", "best fixed", "uniform", "blind mix", "shuffled"}
    assert "the best fixed model in hindsight" in shown


def test_everyone_is_there_side_by_side(figures: Figures) -> None:
    for module in ("mabwiser", "vowpalwabbit", "contextualbandits"):
        pytest.importorskip(module)
    shown, found = figures("side_by_side", "--streams", "mixed")
    assert set(found) == {"mixed, 0.1", "mixed, 0.3"}
    played = {one["name"] for one in found["mixed, 0.3"]["policies"] if one["role"] == "policy"}
    assert played == {*OURS, *PEERS}
    assert all(us > 0 for us in found["mixed, 0.1"]["us_per_query"].values())
    assert "mixed, 0.3: 1 × 60 queries, 4 models" in shown


def test_a_peer_can_be_left_out(figures: Figures) -> None:
    without = [name for name in PEERS if name != "paretobandit"]
    _, found = figures("side_by_side", "--streams", "mixed", "--trades", "0.1", "--without", *without)
    assert "paretobandit" in found["mixed, 0.1"]["us_per_query"]
    assert len(found["mixed, 0.1"]["us_per_query"]) == len(OURS) + 1


def test_drift_shows_both_things_that_happen(figures: Figures) -> None:
    shown, found = figures("drift", "--streams", "mixed", "--half-lives", "20")
    price, quality = found["mixed, price"], found["mixed, quality"]
    assert price["event"] == {"kind": "price", "arm": "gpt-4o", "at": 30, "value": "0.1"}
    assert price["best_fixed_after"] == "gpt-4o"
    assert quality["event"]["kind"] == "quality"
    assert quality["best_fixed_after"] != quality["event"]["arm"]
    assert "tempered, half-life 20" in {one["name"] for one in price["policies"]}
    assert "gpt-4o costs a tenth" in " ".join(shown.split())


def test_warm_starts_are_shown_beside_cold_and_wrong_ones(figures: Figures) -> None:
    shown, found = figures("warm_start", "--streams", "mixed", "--labelled", "80")
    assert set(found) == {"mixed, 0.1", "mixed, 0.3"}
    played = {one["name"] for one in found["mixed, 0.1"]["policies"] if one["role"] == "policy"}
    assert played == {*AGENTS}
    assert found["mixed, 0.1"]["regression_gain"] > 0.005
    assert "80 labelled, then 1 × 60 queries" in " ".join(shown.split())


def test_a_wrong_start_is_told_that_each_model_is_the_one_before_it() -> None:
    told: list[Stream] = []

    def spy(setting: Setting) -> KeptArm:
        assert setting.labelled is not None
        told.append(setting.labelled)
        return keep_best(setting)

    stream = an_easy_stream(30)
    setting = replace(a_setting(stream), labelled=stream)
    WrongLabels(spy)(setting)
    assert told[0].quality[:, [1, 2, 0]].tolist() == stream.quality.tolist()
    assert keep_best(setting).arm == int((stream.quality - LAMBDA * stream.cost_usd).mean(axis=0).argmax())


def test_deadlines_are_judged_case_by_case(figures: Figures) -> None:
    shown, found = figures("deadlines", "--levels", "0.9", "0.95")
    assert set(found["runs"]["mixed"]) == {"0.9", "0.95"}
    assert "the best is just too slow" in shown
    assert "95% of answers are to be there within 2 s" in " ".join(shown.split())
    missed = f"{len(found['missed'])} missed" if found["missed"] else "all met"
    assert f"bars: {missed}" in shown


def test_budgets_are_spent_with_and_without_a_price_cut(figures: Figures) -> None:
    shown, found = figures("budgets", "--budgets", "6.6e-4", "5.3e-3")
    assert set(found["runs"]["paretobandit"]) == {"0.00066", "0.0053"}
    assert set(found["runs"]["paretobandit"]["0.0053"]) == {"as it is", "price cut"}
    assert "paretobandit, 0.00066 USD a request: 1 × 60 queries" in " ".join(shown.split())
    assert "bars: " in shown


def test_floors_are_kept_on_every_stream(figures: Figures) -> None:
    shown, found = figures("floors", "--streams", "routellm")
    assert len(found["routellm"]) == 3
    assert "routellm: 1 × 60 queries" in " ".join(shown.split())


def test_a_poisoned_key_is_shown_with_and_without_what_limits_it(figures: Figures) -> None:
    shown, found = figures("poisoning", "--streams", "mixed", "--shares", "0.15")
    assert set(found["mixed"]) == {
        "no poison",
        "no poison, cap 0.15",
        "no poison, 90%, cap 0.15",
        "poison",
        "poison, cap 0.15",
        "poison, quarantine",
        "poison, cap 0.15, quarantine",
    }
    assert "mixed, λ worth 0.1: 1 × 60 queries" in " ".join(shown.split())


def test_prior_widths_are_compared(few: Path) -> None:
    data = str(few / "paretobandit.parquet")
    done = run_module("simulations.prior_width", data, "--queries", "60", "--seeds", "1", folder=ROOT)
    assert done.returncode == 0, done.stderr
    assert "weight_std" in done.stdout


@pytest.mark.parametrize(
    "script",
    [
        "regret",
        "side_by_side",
        "drift",
        "warm_start",
        "cascade",
        "deadlines",
        "budgets",
        "floors",
        "poisoning",
        "sparse",
        "tasks",
    ],
)
def test_a_missing_folder_is_one_line(script: str, tmp_path: Path) -> None:
    done = run_module(f"simulations.{script}", "--data", str(tmp_path), folder=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
