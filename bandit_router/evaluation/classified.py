"""What a classifier says of queries that were routed without it: their contexts are all it reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bandit_router.evaluation.block import Block, BlockSource
from bandit_router.evaluation.logs.read import Log
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.signals.classifier import CLASSIFIER, P_COMPLEX, Classifier
from bandit_router.types import Signals


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifiedPiece:
    """A piece of a log with the signals of this classifier, in place of those of any other."""

    piece: BlockSource
    classifier: Classifier

    def read(self) -> Block:
        block = self.piece.read()
        return replace(block, signals=signals_by(self.classifier, block))


def classified_pieces(log: Log, classifier: Classifier, where: Path) -> list[ClassifiedPiece]:
    """The pieces of a log, judged by the classifier of the file ``where``. Raises SchemaMismatch."""
    classifier.check_schema(log.info["schema_id"], log.info["dim"], where)
    return [ClassifiedPiece(piece=piece, classifier=classifier) for piece in log.pieces]


def classified_stream(stream: Stream, classifier: Classifier) -> Stream:
    """The stream with the signals of the classifier. Its contexts must be what the classifier reads."""
    return replace(stream, signals=signals_by(classifier, stream))


def signals_by(classifier: Classifier, rows: Block | Stream) -> tuple[Signals, ...]:
    """The signals of every row (n), those of the classifier among them."""
    p = classifier.p_complex_many(rows.x).tolist()
    digest = classifier.digest
    return tuple({**rows.signals_at(i), P_COMPLEX: p[i], CLASSIFIER: digest} for i in range(len(p)))
