"""Options of a route call, as headers say them."""

from __future__ import annotations

import pytest

from bandit_router.errors import InvalidInput
from bandit_router.gateway.dialects import OPTION_NAMES
from bandit_router.gateway.exchange import read_options


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
def test_a_header_says_whether_an_answer_will_be_rated(text: str, value: bool) -> None:
    assert read_options({"will-be-rated": text, "tier": "free"}) == {
        "will_be_rated": value,
        "user_tier": "free",
    }


def test_a_header_or_the_metadata_name_the_arm_that_the_caller_would_have_used() -> None:
    assert "incumbent" in OPTION_NAMES
    assert read_options({"incumbent": "large"}) == {"incumbent": "large"}


def test_what_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(InvalidInput, match="x-bandit-will-be-rated: is '1'; write true or false"):
        read_options({"will-be-rated": "1"})
