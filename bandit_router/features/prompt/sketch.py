"""Sketches: tell whether two system prompts are of one application, whatever varies between its requests.

What varies is left out first: numbers, dates, ids, URLs, addresses and quoted values. The rest is the set of
its pairs of neighbouring words, and a few features for each tool. A sketch is the bottom-k of that set
(Broder, On the resemblance and containment of documents, 1997): the k smallest of its hashes. From two of
them, of sets A and B, follows an estimate of

    J = |A ∩ B| / |A ∪ B|  ≈  share of the k smallest of both together that are in both,

exact while both sets have at most k members. Two prompts are near if each may differ from the other in a
share d of its members: J ≥ (1 − d) / (1 + d), with d = min(1/4, 1/10 + 3/n) and n members in the larger one.
So an edit of a few words is near in a prompt of any length, and a paragraph of a long one is not.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import pairwise
from zlib import crc32

import numpy as np
import numpy.typing as npt

from bandit_router.features.prompt.instructions import Instructions

Sketch = tuple[int, ...]
"""The smallest hashes of a prompt's features, ascending; at most ``SKETCH_SIZE`` integers of 64 bits."""

SKETCH_SIZE = 512
_MOST_CHARS = 20_000
_LONGEST_WORD = 30
_WEIGHT_OF_TOOL = 4
_MOST_DIFFERING = 0.25
_LEAST_SIMILARITY = (1.0 - _MOST_DIFFERING) / (1.0 + _MOST_DIFFERING)

_QUOTED = re.compile(r'"[^"\n]{0,200}"|“[^”\n]{0,200}”|«[^»\n]{0,200}»')  # bounded, so that it is linear
_VARYING = re.compile(r"[\d@]|://|www\.")  # in a part between spaces: a number, a date, an id, an address
_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+")
_OF_DATES = re.compile(
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|[ap]m|utc|gmt)"
)


def sketch_instructions(instructions: Instructions) -> Sketch:
    """The sketch of a prompt; empty if nothing in it stays the same."""
    text = "\n".join(instructions.texts)[:_MOST_CHARS].casefold()
    parts = [part for part in _QUOTED.sub(" ", text).split() if not _VARYING.search(part)]
    words = [word for word in _WORDS.findall(" ".join(parts)) if _is_constant(word)]
    hashes = [crc32(word.encode(errors="replace")) for word in words]
    features = [first << 32 | second for first, second in pairwise([0, *hashes])]
    for tool in {*instructions.tools}:
        hashed = crc32(f"tool {tool}".encode(errors="replace"))
        features += [hashed << 32 | i for i in range(_WEIGHT_OF_TOOL)]
    if not features:
        return ()
    mixed = np.unique(_mix(np.array(features, dtype=np.uint64)))
    return tuple(mixed[:SKETCH_SIZE].tolist())


def name_sketch(sketch: Sketch) -> str:
    """The name of the task that a prompt with this sketch begins."""
    return f"prompt-{crc32(pack_sketch(sketch)):08x}"


def pack_sketch(sketch: Sketch) -> bytes:
    """The sketch as little-endian 64-bit integers."""
    return np.array(sketch, dtype="<u8").tobytes()


def unpack_sketch(packed: bytes) -> Sketch:
    """The packed sketch."""
    return tuple(np.frombuffer(packed, "<u8").tolist())


class SketchIndex:
    """Finds a sketch that is near among a few, each with the number of its task.

    The smallest number wins. So whoever knows only the first tasks finds the same one as who knows all, or
    none.
    """

    def __init__(self) -> None:
        self._sketches: dict[int, Sketch] = {}
        self._having: defaultdict[int, list[int]] = defaultdict(list)

    def add(self, number: int, sketch: Sketch) -> None:
        """Remember the sketch of a task."""
        self._sketches[number] = sketch
        for feature in sketch:
            self._having[feature].append(number)

    def find_near(self, sketch: Sketch) -> int | None:
        """The smallest number of a task whose sketch is near; None if none is."""
        shared = Counter(number for feature in sketch for number in self._having.get(feature, ()))
        for number, count in sorted(shared.items()):
            other = self._sketches[number]
            if count < _LEAST_SIMILARITY * max(len(sketch), len(other)):
                continue  # a count bounds the similarity, and is cheap
            if are_near(sketch, other, estimate_similarity(sketch, other)):
                return number
        return None


def estimate_similarity(one: Sketch, other: Sketch) -> float:
    """The estimate of J."""
    both = {*one} & {*other}
    union = sorted({*one} | {*other})[:SKETCH_SIZE]
    return sum(feature in both for feature in union) / len(union) if union else 1.0


def are_near(one: Sketch, other: Sketch, similarity: float) -> bool:
    """Whether prompts this similar are of one task."""
    differing = min(_MOST_DIFFERING, 0.1 + 3.0 / max(len(one), len(other), 1))
    return similarity >= (1.0 - differing) / (1.0 + differing)


def _is_constant(word: str) -> bool:
    return len(word) <= _LONGEST_WORD and not _OF_DATES.fullmatch(word)


def _mix(features: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The hashes of integers: the last step of splitmix64 (Steele, Lea & Flood, 2014)."""
    mixed = (features ^ (features >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
