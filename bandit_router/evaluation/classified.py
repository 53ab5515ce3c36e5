"""Add a classifier's signals to the rows of a log or stream; it reads nothing but their contexts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bandit_router.evaluation.block import Block, BlockSource
from bandit_router.evaluation.logs.read import Log
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.signals.classifier import CLASSIFIER, P_COMPLEX, Classifier
from bandit_router.types import Signals


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifiedBlocks:
    """A piece of a log with the signals of this classifier in place of any other's."""

    piece: BlockSource
    classifier: Classifier

    def read(self) -> Block:
        block = self.piece.read()
        return replace(block, signals=add_classifier_signals(self.classifier, block))


def classify_log(log: Log, classifier: Classifier, where: Path) -> list[ClassifiedBlocks]:
    """The pieces of a log with the classifier's signals; ``where`` is its file. Raises SchemaMismatch."""
    classifier.check_schema(log.info["schema_id"], log.info["dim"], where)
    return [ClassifiedBlocks(piece=piece, classifier=classifier) for piece in log.pieces]


def classify_stream(stream: Stream, classifier: Classifier) -> Stream:
    """The stream with the classifier's signals; its contexts must have the classifier's schema."""
    return replace(stream, signals=add_classifier_signals(classifier, stream))


def add_classifier_signals(classifier: Classifier, rows: Block | Stream) -> tuple[Signals, ...]:
    """The signals of every row (n,), with those of the classifier added."""
    p = classifier.p_complex_many(rows.x).tolist()
    digest = classifier.digest
    return tuple({**rows.signals_at(i), P_COMPLEX: p[i], CLASSIFIER: digest} for i in range(len(p)))
