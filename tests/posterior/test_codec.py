from __future__ import annotations

import base64
import hashlib
import json
import math
import pickle
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import SnapshotCorrupt
from bandit_router.posterior.codec import FORMAT, MAGIC, decode_statistics, encode_statistics
from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.posterior.warm_start import WarmStart
from bandit_router.types import NO_TASK


def example(
    seed: int = 1, arms: int = 2, dim: int = 3, half_life_s: float | None = 20.0
) -> SufficientStatistics:
    """Statistics of a few weighted rewards, with uneven priors."""
    rng = np.random.default_rng(seed)
    priors = {
        f"arm-{k}": Prior(mean=rng.normal(size=dim), precision=rng.random(dim) + 0.1) for k in range(arms)
    }
    statistics = SufficientStatistics.empty(
        priors, schema_id="text-3·é", noise_variance=rng.random() + 0.01, half_life_s=half_life_s, dim=dim
    )
    for arm in priors:
        for task in (NO_TASK, 0, 1, 0, 2):
            statistics.observe(arm, rng.normal(size=dim), rng.random(), rng.random() * 100, task=task)
    return statistics


BLOB = encode_statistics(example())


def sign(content: bytes) -> bytes:
    """Content with a digest that is right, as a faulty writer would store it."""
    return content + hashlib.sha256(content).digest()


all_statistics = st.builds(
    example,
    seed=st.integers(0, 1000),
    arms=st.integers(0, 4),
    dim=st.integers(1, 6),
    half_life_s=st.none() | st.floats(1e-3, 1e6),
)


@given(statistics=all_statistics)
def test_decoding_gives_back_what_was_encoded(statistics: SufficientStatistics) -> None:
    again = decode_statistics(encode_statistics(statistics))
    for name in ("arms", "schema_id", "noise_variance", "half_life_s", "as_of"):
        assert getattr(again, name) == getattr(statistics, name)
    for name in ("prior_mean", "prior_precision", "cross", "count"):
        np.testing.assert_array_equal(getattr(again, name), getattr(statistics, name))
    np.testing.assert_array_equal(np.tril(again.second), np.tril(statistics.second))
    np.testing.assert_array_equal(again.second, again.second.transpose(0, 2, 1))


@given(statistics=all_statistics)
def test_encoding_what_was_decoded_gives_the_same_bytes(statistics: SufficientStatistics) -> None:
    blob = encode_statistics(statistics)
    assert encode_statistics(decode_statistics(blob)) == blob


@given(statistics=all_statistics)
def test_a_decoded_posterior_predicts_as_the_solved_original(statistics: SufficientStatistics) -> None:
    probe = np.linspace(-1.0, 1.0, statistics.dim)
    np.testing.assert_array_equal(
        decode_statistics(encode_statistics(statistics)).solve().predict(probe),
        statistics.solve().predict(probe),
    )


def test_a_decoded_posterior_can_be_added_to() -> None:
    original, again = example(), decode_statistics(BLOB)
    for statistics in (original, again):
        statistics.observe("arm-0", np.ones(3), 1.0, 200.0)
    assert encode_statistics(again) == encode_statistics(original)


def test_a_posterior_that_never_saw_an_event_keeps_its_open_clock() -> None:
    priors = {"a": Prior(mean=np.zeros(2), precision=np.ones(2))}
    statistics = SufficientStatistics.empty(priors, schema_id="s1", noise_variance=0.1)
    assert decode_statistics(encode_statistics(statistics)).as_of == -math.inf


def test_a_posterior_without_arms_survives_with_its_dimension() -> None:
    again = decode_statistics(
        encode_statistics(SufficientStatistics.empty({}, schema_id="s1", noise_variance=0.1, dim=7))
    )
    assert (again.arms, again.dim) == ((), 7)


def test_unusable_sums_survive_so_that_quarantine_can_see_them() -> None:
    statistics = example()
    statistics.cross[0, 0] = math.nan
    assert math.isnan(decode_statistics(encode_statistics(statistics)).cross[0, 0])


# -- the layout ------------------------------------------------------------------------------------


def test_the_layout_is_the_documented_one() -> None:
    statistics = example()
    magic, version, length = struct.unpack_from("<4sHI", BLOB)
    assert (magic, version) == (b"BRPS", 4)
    header = json.loads(BLOB[10 : 10 + length])
    assert header["arms"] == ["arm-0", "arm-1"]
    assert header["count"] == [5, 5]
    numbers = np.frombuffer(BLOB[10 + length : -32], "<f8")
    triangles = [second[i, j] for second in statistics.second for i in range(3) for j in range(i + 1)]
    before = statistics.prior_mean, statistics.prior_precision, statistics.cross
    parts = *before, np.array(triangles), statistics.square, statistics.task_cross, statistics.task_context
    np.testing.assert_array_equal(numbers, np.concatenate([part.ravel() for part in parts]))
    assert hashlib.sha256(BLOB[:-32]).digest() == BLOB[-32:]


_FORMAT_1 = base64.b64decode(
    "QlJQUwEAdQAAAHsiYXJtcyI6IFsiYSJdLCAiYXNfb2YiOiA4LjAsICJjb3VudCI6IFsxXSwgImRpbSI6IDIsICJoYWxm"
    "X2xpZmVfcyI6IDYwLjAsICJub2lzZV92YXJpYW5jZSI6IDAuMjUsICJzY2hlbWFfaWQiOiAiczEifQAAAAAAAOA/AAAA"
    "AAAAAAAAAAAAAAAQQAAAAAAAADlAAAAAAAAA6D8AAAAAAAD4vwAAAAAAAPA/AAAAAAAAAMAAAAAAAAAQQBpCffKYhyzA"
    "dvyn8HmLF6fmYWlBEhZmXJdxxXeJI/eP"
)


_FORMAT_2 = base64.b64decode(
    "QlJQUwIAiQAAAHsiYXJtcyI6IFsiYSJdLCAiYXNfb2YiOiA4LjAsICJjb3VudCI6IFsxXSwgImRpbSI6IDIsICJoYWxmX2xpZmVf"
    "cyI6IDYwLjAsICJoeXBlcnByaW9yIjogbnVsbCwgIm5vaXNlX3ZhcmlhbmNlIjogMC4yNSwgInNjaGVtYV9pZCI6ICJzMSJ9AAAA"
    "AAAA4D8AAAAAAAAAAAAAAAAAABBAAAAAAAAAOUAAAAAAAADoPwAAAAAAAPi/AAAAAAAA8D8AAAAAAAAAwAAAAAAAABBAAAAAAAAA"
    "4j9Pn0tIvkKMeiKKXUZgiD8lIMMGUsRE51VFTRZWwZD7hg=="
)


_FORMAT_3 = base64.b64decode(
    "QlJQUwMAuQAAAHsiYXJtcyI6IFsiYSJdLCAiYXNfb2YiOiA4LjAsICJjb3VudCI6IFsxXSwgImRpbSI6IDIsICJoYWxmX2xpZm"
    "VfcyI6IDYwLjAsICJoeXBlcnByaW9yIjogbnVsbCwgIm5vaXNlX3ZhcmlhbmNlIjogMC4yNSwgInNjaGVtYV9pZCI6ICJzMSIs"
    "ICJ3YXJtIjogeyJzaW5jZSI6IDEwMDAwMDAwMDAuMCwgIndlaWdodCI6IDAuNX19AAAAAAAA4D8AAAAAAAAAAAAAAAAAABBAAA"
    "AAAAAAOUAAAAAAAADoPwAAAAAAAPi/AAAAAAAA8D8AAAAAAAAAwAAAAAAAABBAAAAAAAAA4j8AAAAAAADoPwAAAAAAAPi/AAAA"
    "AAAA8D8AAAAAAAAAwAAAAAAAABBAAAAAAAAA4j8AAAAAAADwP4Y8DWhkkVBuXi1g0WfCDokjJp724Ftg4L3UDVJsTG2P"
)


def small_statistics() -> SufficientStatistics:
    priors = {"a": Prior(mean=np.array([0.5, 0.0]), precision=np.array([4.0, 25.0]))}
    statistics = SufficientStatistics.empty(priors, schema_id="s1", noise_variance=0.25, half_life_s=60.0)
    statistics.observe("a", np.array([1.0, -2.0]), 0.75, 8.0)
    return statistics


def test_format_1_is_still_read() -> None:
    """A database that an earlier version wrote must stay verifiable."""
    old, same = decode_statistics(_FORMAT_1), small_statistics()
    assert old.hyperprior is None
    for name in ("prior_mean", "prior_precision", "second", "cross", "count"):
        np.testing.assert_array_equal(getattr(old, name), getattr(same, name))
    assert old.solve().predict(np.array([1.0, 1.0])) == same.solve().predict(np.array([1.0, 1.0]))
    assert (old.as_of, old.half_life_s, old.noise_variance) == (8.0, 60.0, 0.25)


def test_format_2_is_still_read() -> None:
    old, same = decode_statistics(_FORMAT_2), small_statistics()
    assert old.warm is None
    assert encode_statistics(old) == encode_statistics(same)


def test_format_3_is_still_read() -> None:
    old, same = decode_statistics(_FORMAT_3), small_statistics()
    same.warm = WarmStart(small_statistics().regression_sums, 0.5, 1e9)
    assert old.tasks == 0
    assert encode_statistics(old) == encode_statistics(same)


def test_format_4_stays_what_it_is() -> None:
    assert FORMAT == 4
    statistics = small_statistics()
    statistics.observe("a", np.array([1.0, 0.5]), 0.25, 8.0, task=1)
    digest = hashlib.sha256(encode_statistics(statistics)).hexdigest()
    assert digest == "f777ff342d9dbd772917b7c91ceeefcc16067cd0d80b46c36416433afb37cd45"


def test_a_warm_start_survives() -> None:
    statistics, other = small_statistics(), small_statistics()
    sums = other.regression_sums
    statistics.warm = WarmStart(sums, 0.5, 1e9)
    again = decode_statistics(encode_statistics(statistics))
    assert statistics.warm.equals(again.warm)
    np.testing.assert_array_equal(again.solve().predict(np.ones(2)), statistics.solve().predict(np.ones(2)))
    assert not np.array_equal(again.solve().predict(np.ones(2)), other.solve().predict(np.ones(2)))


@pytest.mark.parametrize("known", [True, False])
def test_a_hyperprior_survives(known: bool) -> None:
    hyperprior = Hyperprior(
        level_std=0.3,
        arm_std=0.15,
        common_variance=0.01,
        arm_variance=0.001,
        noise_std=0.4,
        arm_variance_known=known,
    )
    statistics = SufficientStatistics.empty(
        dict.fromkeys("ab", Prior(mean=np.array([0.5, 0.0]), precision=np.ones(2))),
        schema_id="s1",
        noise_variance=0.16,
        hyperprior=hyperprior,
    )
    statistics.observe("b", np.array([1.0, -2.0]), 0.75)
    again = decode_statistics(encode_statistics(statistics))
    assert again.hyperprior == hyperprior
    predictions = (s.solve().predict(np.ones(2)) for s in (statistics, again))
    for mine, theirs in zip(*predictions, strict=True):
        np.testing.assert_array_equal(mine, theirs)


# -- what is refused -------------------------------------------------------------------------------


@given(position=st.integers(0, len(BLOB) - 1), flip=st.integers(1, 255))
def test_a_changed_byte_anywhere_is_corruption(position: int, flip: int) -> None:
    blob = bytearray(BLOB)
    blob[position] ^= flip
    with pytest.raises(SnapshotCorrupt):
        decode_statistics(bytes(blob))


@given(length=st.integers(0, len(BLOB) - 1))
def test_a_truncated_snapshot_is_corruption(length: int) -> None:
    with pytest.raises(SnapshotCorrupt):
        decode_statistics(BLOB[:length])


def test_a_snapshot_with_bytes_added_is_corruption() -> None:
    with pytest.raises(SnapshotCorrupt):
        decode_statistics(BLOB + b"\0")


def test_another_format_version_is_refused_and_named() -> None:
    content = bytearray(BLOB[:-32])
    struct.pack_into("<H", content, 4, FORMAT + 1)
    with pytest.raises(
        SnapshotCorrupt, match=r"format b'BRPS' 5, this package reads b'BRPS' \(1, 2, 3, 4\).*rebuild"
    ):
        decode_statistics(sign(bytes(content)))


def test_another_magic_is_refused_and_named() -> None:
    with pytest.raises(SnapshotCorrupt, match="ABCD"):
        decode_statistics(sign(b"ABCD" + BLOB[4:-32]))


class Bomb:
    """Unpickling this would call ``exec``."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('unpickled')",)


def test_a_signed_pickle_is_refused_and_never_run() -> None:
    bomb = pickle.dumps(Bomb())
    with pytest.raises(SystemExit):
        pickle.loads(bomb)
    with pytest.raises(SnapshotCorrupt):
        decode_statistics(sign(bomb))
    with pytest.raises(SnapshotCorrupt):
        decode_statistics(sign(struct.pack("<4sHI", MAGIC, FORMAT, len(bomb)) + bomb))


def faulty(numbers: int = 2 * (3 * 3 + 6 + 1 + 3 + 3 * 3), **changes: Any) -> bytes:
    """A signed snapshot with another header, or with another count of numbers behind it."""
    _, _, length = struct.unpack_from("<4sHI", BLOB)
    header = json.dumps(json.loads(BLOB[10 : 10 + length]) | changes).encode()
    return sign(struct.pack("<4sHI", MAGIC, FORMAT, len(header)) + header + bytes(8 * numbers))


def test_a_signed_snapshot_is_read_when_header_and_numbers_agree() -> None:
    assert decode_statistics(faulty()).arms == ("arm-0", "arm-1")


@pytest.mark.parametrize(
    "blob",
    [
        faulty(numbers=54),
        faulty(numbers=55),
        faulty(numbers=57),
        faulty(numbers=0),
        faulty(dim=4),
        faulty(tasks=2),
        faulty(tasks=-1),
        faulty(dim=None),
        faulty(arms=None),
        faulty(count=[1]),
        sign(BLOB[:-33]),
        sign(struct.pack("<4sHI", MAGIC, FORMAT, 2) + b"{}"),
        sign(struct.pack("<4sHI", MAGIC, FORMAT, 2) + b"[]"),
        sign(struct.pack("<4sHI", MAGIC, FORMAT, 10_000) + b"{}"),
        sign(struct.pack("<4sHI", MAGIC, FORMAT, 3) + b"\xff{}"),
    ],
)
def test_a_signed_snapshot_that_makes_no_sense_is_corruption(blob: bytes) -> None:
    with pytest.raises(SnapshotCorrupt, match="rebuild"):
        decode_statistics(blob)
