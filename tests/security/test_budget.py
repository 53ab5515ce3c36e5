"""Amounts are whole billionths of a dollar, and a day is one of UTC."""

from __future__ import annotations

import pytest

from bandit_router.security.budget import KeySpending, find_day, find_end_of_day, to_billionths, to_usd


@pytest.mark.parametrize(
    ("usd", "billionths"), [(0.0, 0), (1.0, 10**9), (0.002, 2_000_000), (1e-10, 1), (1e30, 10**18)]
)
def test_an_amount_is_never_booked_as_less_than_it_is(usd: float, billionths: int) -> None:
    assert to_billionths(usd) == billionths
    assert to_usd(billionths) == pytest.approx(min(usd, 1e9), abs=1e-9)


def test_a_day_ends_at_midnight_utc() -> None:
    noon = 1_700_000_000.0 // 86_400 * 86_400 + 43_200
    assert find_end_of_day(find_day(noon)) == noon + 43_200
    assert find_day(find_end_of_day(7)) == 8


def test_spending_reads_in_dollars() -> None:
    assert (KeySpending(5, 10**9).reserved_usd, KeySpending(5, 10**9).spent_usd) == (5e-9, 1.0)
