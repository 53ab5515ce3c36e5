"""Errors travel between processes as they are."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

from bandit_router import errors
from bandit_router.errors import RouterError
from bandit_router.gateway.exchange import UnknownModel
from bandit_router.gateway.gateway import OutOfArms
from bandit_router.providers.base import FailureKind, UpstreamError
from tests.store.examples import decision

EXAMPLES: dict[str, RouterError] = {
    type(error).__name__: error
    for error in (
        errors.InvalidInput("field", "is wrong", "mend it"),
        errors.SchemaMismatch("x", "has 3 dimensions", "give 4"),
        errors.NoEligibleArm({"large": "costs too much"}),
        errors.ArmExcluded("the override names", "large", {"large": "costs too much"}),
        errors.UnknownConversation("some-conversation"),
        UnknownModel("model", "is no arm", "use auto"),
        OutOfArms(UpstreamError(FailureKind.CUT, "it was cut"), decision(), 2),
        errors.KeyBudgetSpent(0.25, 2.0, 60.0),
        errors.OwnBudgetSpent("label", 2.0, 2.0),
        errors.UnknownDecision("some-id"),
        errors.ArmForbidden("large"),
        errors.UnknownAnswer("chatcmpl-1"),
        errors.AmbiguousAnswer("chatcmpl-1"),
        errors.NoBudget("default"),
        errors.NoSafety("default"),
        errors.IdempotencyConflict("some-key"),
        errors.ServiceError(502, "a proxy's page"),
        errors.ServiceUnreachable("http://host:8080", "ConnectError", "some-key"),
        errors.ClientClosed(),
        errors.RouterClosed(),
        errors.RouterForked(),
        errors.DatabaseBusy(),
        errors.DatabaseReplaced(),
        errors.CommitTimeout(30.0),
        errors.Overloaded(),
        UpstreamError(FailureKind.STATUS, "upstream answered 500", 500, (("retry-after", "1"),), b"{}"),
    )
}
"""Those that take something else than their message."""


def kinds(root: type[RouterError] = RouterError) -> Iterator[type[RouterError]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("kind", [*kinds()], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_survives_pickling(kind: type[RouterError], protocol: int) -> None:
    error = EXAMPLES.get(kind.__name__) or kind("what is wrong")
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
        assert type(again) is kind
        assert str(again) == str(error) != ""
        assert again.args == error.args
        assert repr(vars(again)) == repr(vars(error))  # decisions have arrays, which do not compare
