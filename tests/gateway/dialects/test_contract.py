"""Every registered dialect keeps the contract."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bandit_router.gateway.dialects import DIALECTS, Dialect
from tests.contracts import dialect as contract
from tests.gateway.dialects.examples import EXAMPLES, FULL_REQUESTS, Example

_ALL = [pytest.param(dialect, id=name) for name, dialect in DIALECTS.items()]
_ANSWERS = [
    pytest.param(DIALECTS[name], example, id=f"{name}: {kind}")
    for name, examples in EXAMPLES.items()
    for kind, example in examples.items()
]
_STREAMS = [param for param in _ANSWERS if param.values[1].stream]  # type: ignore[union-attr]
_CUTS = st.lists(st.integers(0, 100_000), max_size=12)

each_dialect = pytest.mark.parametrize("dialect", _ALL)
each_answer = pytest.mark.parametrize(("dialect", "example"), _ANSWERS)
each_stream = pytest.mark.parametrize(("dialect", "example"), _STREAMS)


@each_dialect
def test_registry(dialect: Dialect) -> None:
    assert DIALECTS[dialect.name] is dialect
    assert dialect.path.startswith("/v1/")
    assert set(contract.KINDS) <= set(EXAMPLES[dialect.name])


@each_dialect
@given(data=st.data(), model=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_only_model_changes(dialect: Dialect, data: st.DataObject, model: str) -> None:
    contract.check_only_model_changes(dialect, data.draw(contract.write_requests(dialect.name)), model)


@each_dialect
def test_refusals(dialect: Dialect) -> None:
    contract.check_refusals(dialect)


@each_answer
@given(cuts=_CUTS)
def test_answer(dialect: Dialect, example: Example, cuts: list[int]) -> None:
    contract.check_answer(dialect, example, cuts)


@each_answer
def test_answer_byte_by_byte(dialect: Dialect, example: Example) -> None:
    contract.check_answer(dialect, example, range(len(example.answer)))


@each_answer
def test_beginning(dialect: Dialect, example: Example) -> None:
    contract.check_beginning(dialect, example)


@each_stream
@given(end=st.integers(0, 100_000))
def test_cut(dialect: Dialect, example: Example, end: int) -> None:
    contract.check_cut(dialect, example, end)


@each_dialect
@given(
    garbage=st.binary() | st.lists(st.sampled_from([b"data:", b"\n", b"\r", b"{", b"}", b" "])).map(b"".join)
)
def test_garbage(dialect: Dialect, garbage: bytes) -> None:
    assume(b"[DONE]" not in garbage)  # which ends a stream
    contract.check_garbage(dialect, garbage)


@each_dialect
@given(data=st.data())
def test_odd_request(dialect: Dialect, data: st.DataObject) -> None:
    request = data.draw(contract.change_value(FULL_REQUESTS[dialect.name]))
    contract.check_odd_request(dialect, request)


@each_answer
@given(data=st.data())
def test_odd_answer(dialect: Dialect, example: Example, data: st.DataObject) -> None:
    contract.check_odd_answer(dialect, example, data.draw(contract.change_answer(example)))


@each_dialect
def test_errors(dialect: Dialect) -> None:
    contract.check_errors(dialect)
    contract.check_error_is_noted(dialect)


@each_dialect
def test_models(dialect: Dialect) -> None:
    contract.check_models(dialect)
