"""One check of numbers and of decision ids for the library, HTTP and files."""

from __future__ import annotations

import math
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import uuid_utils

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.datasets.values import QUALITY, Origin, read_numbers
from bandit_router.router import Router
from bandit_router.validation import convert_to_float, hash_request, read_id, read_number
from tests.databases import MakeUrl
from tests.router.conftest import settings_of

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
FORMS = [ID, ID.upper(), ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}", UUID(ID), uuid_utils.UUID(ID)]
HALVES = [0.5, np.float32(0.5), np.float64(0.5), np.float16(0.5), np.longdouble(0.5), Decimal("0.5")]
HALVES += [Fraction(1, 2)]
ONES = [1, np.int64(1), np.uint8(1), True, np.True_]


@pytest.mark.parametrize(
    ("value", "expected"), [*((half, 0.5) for half in HALVES), *((one, 1.0) for one in ONES)], ids=repr
)
def test_a_number_of_any_library_is_the_same_float(value: Any, expected: float) -> None:
    assert read_number("n", value, most=1.0, booleans=True) == expected
    assert type(convert_to_float(value, booleans=True)) is float
    problems: list[Any] = []
    assert read_numbers([value], [Origin(1, "q", "m")], "quality", QUALITY, problems).tolist() == [expected]
    assert problems == []


@pytest.mark.parametrize("value", [Decimal("sNaN"), Decimal("NaN"), np.nan, 10**400, Fraction(-(10**400))])
def test_what_no_float_can_hold_is_out_of_range(value: Any) -> None:
    with pytest.raises(InvalidInput, match="n: is out of range"):
        read_number("n", value, least=-sys.float_info.max, most=sys.float_info.max)


@pytest.mark.parametrize("value", ["1", 1j, np.complex128(1), np.array(1.0), None, True, np.False_, [1]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="not a number"):
        read_number("n", value)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form_of_a_uuid_is_the_id_that_is_logged(form: Any) -> None:
    assert read_id(form) == ID


@pytest.mark.parametrize("text", ["unknown", "é", ID[:-1]])
def test_another_text_is_an_id_that_nothing_has(text: str) -> None:
    assert read_id(text) == text


@pytest.mark.parametrize("value", [None, "", "x" * 37, 7, 1.5, b"x", "\0"])
def test_what_can_be_no_id_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_id(value, "instead_of")
    assert refusal.value.field == "instead_of"


def test_numbers_of_a_request_are_hashed_by_value() -> None:
    numbers = [np.float64(0.5), Decimal("0.5"), Fraction(1, 2)]
    assert {hash_request("key", number) for number in numbers} == {hash_request("key", 0.5)}


@pytest.fixture
def router(make_sqlite_url: MakeUrl) -> Any:
    cascade = {"enabled": True, "expensive": "large"}
    with Router.open(settings_of(make_sqlite_url(migrated=True), cascade=cascade)) as router:
        yield router


@pytest.mark.parametrize("change", [str.upper, UUID, lambda id: id.replace("-", "")])
def test_a_decision_is_found_by_every_form_of_its_id(router: Router, change: Any) -> None:
    decision = router.route("Why?", override="small")
    form = change(decision.id)
    router.feedback(form, quality=np.float32(0.5), cost_usd=Decimal("0.002"), latency_s=np.int64(3))
    expected = {"quality": 0.5, "cost_usd": 0.002, "latency_s": 3.0}
    assert router.metrics(form) == router.explain(form).metrics == expected
    assert router.decision(form).id == router.explain(form).decision.id == decision.id
    assert [call.id for call in router.chain(form).calls] == [decision.id]
    assert router.escalate(form, confidence=np.float32(0.5)).parent == decision.id  # type: ignore[arg-type]
    assert router.route("Why?", override="large", instead_of=form).parent == decision.id


def test_a_retry_with_another_form_of_the_id_is_the_same_request(router: Router) -> None:
    decision = router.route("Why?")
    first = router.feedback(decision.id, quality=1.0, idempotency_key="k")
    assert router.feedback(UUID(decision.id), quality=1.0, idempotency_key="k") == first
    options: Any = {"override": "large", "idempotency_key": "r"}
    made = router.route("Why?", instead_of=decision.id, **options)
    assert router.route("Why?", instead_of=decision.id.upper(), **options).id == made.id


@pytest.mark.parametrize("q", [math.nan, 2.0, -0.1])
def test_a_quantile_is_a_share(router: Router, q: float) -> None:
    with pytest.raises(InvalidInput, match="q: is out of range"):
        router.latency_s("small", q)


def test_trust_is_a_number(router: Router) -> None:
    with pytest.raises(InvalidInput, match="trust: is '5'; give queries, a number"):
        router.warm_start(None, trust="5")  # type: ignore[arg-type]


def test_the_id_in_a_path_may_have_any_form(tmp_path: Path) -> None:
    from tests.server.conftest import Client
    from tests.services import serving, write_settings

    with serving(write_settings(tmp_path)) as service, Client(service.url) as client:
        decision = client.decided()
        answer = client.feedback(decision.upper(), quality=True).raise_for_status().json()
        assert answer == {"decision_id": decision, "outcomes": {"quality": "recorded"}}
        read = client.get(f"/v1/decisions/{decision.replace('-', '')}").raise_for_status().json()
        assert (read["decision_id"], read["metrics"]) == (decision, {"quality": 1.0})
