"""The worked example adds up, by the router's own log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulations.docs_chatbot import make_questions, play_months
from tests.services import run_module
from tests.simulations.worlds import ROOT


def test_a_month_of_a_thousand_queries_is_a_hundredth_of_the_bill() -> None:
    """$300 and $111 a month by hand; of 700 simple and 300 complex queries, 84 and 36 are misread."""
    found = play_months(1000)
    dear, right, misread, cheap = found.values()
    assert [bill.calls for bill in found.values()] == [1000] * 4
    assert dear.cost_usd == pytest.approx(3.00)
    assert right.cost_usd == pytest.approx(1.11)
    assert misread.cost_usd == pytest.approx((616 + 36) * 0.0003 + (264 + 84) * 0.003)
    assert cheap.cost_usd == pytest.approx(0.30)
    assert (dear.good, right.good, misread.good, cheap.good) == (1000, 1000, 1000 - 36, 700)


def test_questions_are_what_they_say_in_any_order() -> None:
    made = make_questions(1000, 0.12, np.random.default_rng(1))
    assert sum(query.is_complex for query in made) == 300
    assert len({query.text for query in made}) == 1000
    assert sum(query.text.startswith("Explain") for query in made) == 264 + 84
    assert made != make_questions(1000, 0.12, np.random.default_rng(2))


def test_the_script_shows_the_month_and_the_real_queries(few: Path) -> None:
    options = ["--month", "100", "--data", str(few), "--queries", "60", "--seeds", "1", "--jobs", "1"]
    done = run_module("simulations.docs_chatbot", *options, folder=ROOT)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "heuristic 100 0.11 63% 100.0%" in shown
    assert "learned router" in shown
