"""Prompts of one application are near, whatever varies between requests; those of two are not."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.features import Instructions, read_prompt
from bandit_router.features.prompt.sketch import (
    SKETCH_SIZE,
    Sketch,
    SketchIndex,
    are_near,
    estimate_similarity,
    pack_sketch,
    sketch_instructions,
    unpack_sketch,
)

INVOICES = (
    "You extract the invoice number, the date and the total of the document that the user sends, and answer "
    "in JSON without any comment. Today is {day}. You work for {name}."
)
SUPPORT = (
    "You answer questions of customers about their orders. Be polite and brief, never promise a refund, and "
    "hand over to a colleague when the customer is angry. Today is {day}. You work for {name}."
)
TRANSLATION = (
    "Translate the text of the user from English to French. Keep its tone, keep names as they are, and do "
    "not explain your choices. Today is {day}. You work for {name}."
)
APPLICATIONS = [
    text.format(day="Monday, 5 January 2026", name="ACME") for text in (INVOICES, SUPPORT, TRANSLATION)
]


def sketch(text: str, *tools: str) -> Sketch:
    return sketch_instructions(Instructions((text,), tools))


def near(one: Sketch, other: Sketch) -> bool:
    return are_near(one, other, estimate_similarity(one, other))


@pytest.mark.parametrize("text", [INVOICES, SUPPORT, TRANSLATION])
@pytest.mark.parametrize(
    "edited",
    [
        lambda text: text.format(day="Tuesday, 30 June 2026", name="ACME"),
        lambda text: text.format(day="2026-06-30T10:00:00Z", name="Globex"),
        lambda text: text.format(day="the last of May", name="Alice Miller"),
        lambda text: text.format(day="Monday", name="ACME").replace("the user", "a user"),
        lambda text: "Please note: " + text.format(day="Monday", name="ACME"),
        lambda text: text.format(day="Monday", name="ACME").upper(),
        lambda text: text.format(day="Monday", name="ACME (https://acme.example/a?b=c, info@acme.example)"),
        lambda text: text.format(day="Monday", name='ACME, whose motto is "More of all that anybody wants"'),
        lambda text: text.format(day="Monday", name="ACME, account 0198-fe2a, order 7f3a9c41"),
    ],
)
def test_an_edit_of_a_few_words_a_date_or_a_name_is_near(text: str, edited: object) -> None:
    assert callable(edited)
    assert near(sketch(text.format(day="Monday, 5 January 2026", name="ACME")), sketch(edited(text)))


def test_applications_are_apart() -> None:
    sketches = [sketch(text) for text in APPLICATIONS]
    assert [[near(one, other) for other in sketches] for one in sketches] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]


def test_a_paragraph_of_its_own_sets_applications_apart_that_share_a_long_one() -> None:
    policy = " ".join(f"{a}{b}{c}" for a in "abcdefg" for b in "hijklm" for c in "opqrstu")
    one, other, edited = policy + INVOICES, policy + SUPPORT, policy + INVOICES.replace("without any", "no")
    assert len(sketch(one)) > 300
    assert near(sketch(one), sketch(edited))
    assert not near(sketch(policy + SUPPORT + TRANSLATION), sketch(one + INVOICES))
    assert near(sketch(one), sketch(other))  # a tenth of the words is an edit


def test_tools_set_short_prompts_apart() -> None:
    assert near(
        sketch("You are a helpful assistant.", "search"), sketch("You are a helpful assistant.", "search")
    )
    assert not near(
        sketch("You are a helpful assistant.", "search"),
        sketch("You are a helpful assistant.", "run", "read"),
    )
    assert near(sketch("", "a", "b", "c", "d", "e", "f"), sketch("", "f", "e", "d", "c", "b", "a"))


@pytest.mark.parametrize("text", ["", "2026-01-05", "5 January", "https://acme.example", '"quoted"'])
def test_a_prompt_of_nothing_constant_has_no_sketch(text: str) -> None:
    assert sketch(text) == ()


@given(st.text(max_size=400))
def test_every_text_has_a_sketch_that_survives_storage(text: str) -> None:
    made = sketch(text)
    assert unpack_sketch(pack_sketch(made)) == made
    assert len(made) <= SKETCH_SIZE
    assert list(made) == sorted({*made})
    assert near(made, sketch(text))


def test_the_estimate_is_that_of_the_sets_while_they_are_small_and_close_to_it_beyond() -> None:
    words = [f"{a}{b}{c}" for a in "abcdefghijkl" for b in "mnopqrstuvwx" for c in "abcdefghijkl"]
    one, other = words[:400], words[100:500]
    shared = {*pairwise(one)} & {*pairwise(other)}
    union = {*pairwise(["", *one])} | {*pairwise(["", *other])}
    assert estimate_similarity(sketch(" ".join(one)), sketch(" ".join(other))) == len(shared) / len(union)
    many, more = words[:1500], words[150:1650]
    assert len(sketch(" ".join(many))) == SKETCH_SIZE
    truth = 1350 / 1650
    assert estimate_similarity(sketch(" ".join(many)), sketch(" ".join(more))) == pytest.approx(
        truth, abs=0.06
    )


def test_a_near_one_is_found_as_by_comparing_all() -> None:
    index, sketches = SketchIndex(), [sketch(text) for text in APPLICATIONS]
    for number, each in enumerate(sketches):
        index.add(number, each)
    for text in (INVOICES, SUPPORT, TRANSLATION, "Write a poem about the sea, in the manner of Homer."):
        asked = sketch(text.format(day="Friday", name="Globex") if "{" in text else text)
        by_hand = [number for number, each in enumerate(sketches) if near(asked, each)]
        assert index.find_near(asked) == (by_hand[0] if by_hand else None)


def test_who_knows_only_the_first_tasks_finds_the_same_or_none() -> None:
    words = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    sketches = [sketch(" ".join(words[k : k + 60])) for k in range(0, 40, 8)]
    asked = sketch(" ".join(words[8:68]))
    found = []
    index = SketchIndex()
    for number, each in enumerate(sketches):
        found.append(index.find_near(asked))
        index.add(number, each)
    found.append(index.find_near(asked))
    assert near(asked, sketches[0])
    assert near(asked, sketches[1])
    assert found == [None, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
        {
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "user", "content": "Hi"},
                {"role": "system", "content": "A later one is no part of it."},
            ]
        },
        {"system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]},
        {"system": [{"type": "text", "text": "Be brief."}], "messages": [{"role": "user", "content": "Hi"}]},
        {"instructions": "Be brief.", "input": "Hi"},
        {"input": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
    ],
)
def test_instructions_are_read_in_every_dialect(body: dict[str, object]) -> None:
    tools = [
        {"type": "function", "function": {"name": "find"}},
        {"name": "read", "input_schema": {}},
        {"type": "web_search"},
    ]
    assert read_prompt(body).instructions == Instructions(("Be brief.",), ())
    assert read_prompt(body | {"tools": tools}).instructions == Instructions(
        ("Be brief.",), ("find", "read", "web_search")
    )


def test_a_prompt_without_instructions_has_none() -> None:
    assert not any(read_prompt("Hi").instructions)
    assert not any(read_prompt([{"role": "user", "content": "Hi"}]).instructions)
    odd = {"messages": [{"role": "user", "content": "Hi"}], "system": 5, "tools": [7, {"function": 3}]}
    assert not any(read_prompt(odd).instructions)
