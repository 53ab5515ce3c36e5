"""Every error bandit-router raises on purpose.

They form one tree::

    RouterError
    ├── ConfigError           router.toml, the environment or a policy spec is wrong
    ├── InvalidInput          a value a caller sent is wrong; names the field and the fix
    │   └── SchemaMismatch    a vector or snapshot belongs to another feature pipeline
    ├── NoEligibleArm         nothing is left to choose from; names what excluded each arm
    │   └── ArmExcluded       the arm that the caller or a workflow names is not eligible
    ├── ArmForbidden          the API key of the caller is not for that arm
    ├── KeyBudgetSpent        what the API key has left today is too little for a call
    ├── OwnBudgetSpent        the router's own calls have cost all that they may
    ├── UnknownDecision       no decision with that id in this router's log
    ├── UnknownAnswer         no call of this router was answered with that id
    ├── AmbiguousAnswer       several calls were answered with that id
    ├── UnknownKey            no API key of this router has that id
    ├── UnknownConversation   no conversation with that id keeps an arm, or not any more
    ├── NoBudget              no worker of this router has a goal under [budget]
    ├── NoSafety              this router has no baseline under [safety]
    ├── IdempotencyConflict   the key was used before with a different request
    ├── AuthenticationError   the service was sent no API key, or one that is not valid
    ├── PermissionDenied      the API key lacks the scope, or the service answers local programs alone
    ├── RateLimited           more requests than the API key has
    ├── ServiceError          the service, or a proxy before it, answered with none of these errors
    ├── ServiceUnreachable    no answer came from the service
    ├── UpstreamError         a call of a model failed; it stands in bandit_router.providers.base
    ├── RouterClosed          the router was used after close()
    │   ├── RouterForked      the router was opened before this process was forked
    │   └── ClientClosed      the same for the client of a service
    └── StoreError            the database cannot do what was asked
        ├── SchemaVersionError   the database has another schema version; names the command
        ├── SnapshotCorrupt      a stored snapshot fails its checksum or cannot be read
        ├── DatabaseBusy         another program keeps the database locked; retry
        ├── DatabaseReplaced     the SQLite file was deleted or replaced; restart
        ├── CommitTimeout        a write was not committed in time, and may be yet
        └── Overloaded           the write queue is full; retry after a moment
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from typing import Any


class RouterError(Exception):
    """Base of every error bandit-router raises on purpose.

    All of them can be pickled, so that they cross process boundaries.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception.__reduce__ calls the class with the message, which not all of our classes accept.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class ConfigError(RouterError):
    """A setting is wrong. The message names the key, the file and what is allowed."""


class InvalidInput(RouterError, ValueError):
    """A value a caller sent is wrong."""

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(f"{field}: {problem}; {fix}")
        self.field = field
        self.problem = problem
        self.fix = fix


class SchemaMismatch(InvalidInput):
    """A vector or a snapshot was made by another feature pipeline."""


class NoEligibleArm(RouterError):
    """Nothing is left to choose from; ``fix`` says what could be done, if anything is known."""

    def __init__(self, excluded: Mapping[str, str], fix: str = "") -> None:
        why = "; ".join(f"{arm}: {reason}" for arm, reason in excluded.items())
        remedy = f"; {fix}" if fix else ""
        super().__init__(f"no eligible arm ({why or 'no arm is configured'}){remedy}")
        self.excluded = dict(excluded)


class ArmExcluded(NoEligibleArm):
    """The arm that the caller or a workflow names is not eligible; ``excluded`` says why, arm by arm."""

    def __init__(self, by: str, arm: str, excluded: Mapping[str, str]) -> None:
        super().__init__(excluded)
        self.args = (f"{by} arm {arm!r}, which is not eligible: {excluded[arm]}",)
        self.arm = arm


class ArmForbidden(RouterError):
    """The API key of the caller is not for that arm."""

    def __init__(self, arm: str) -> None:
        super().__init__(f"the API key is not for arm {arm!r}")
        self.arm = arm


class KeyBudgetSpent(RouterError):
    """What the API key has left today is too little for a call; it has its whole budget again ``after_s``."""

    def __init__(self, left_usd: float, usd_per_day: float, after_s: float) -> None:
        super().__init__(
            f"the API key has {left_usd:.6g} USD left of its {usd_per_day:g} USD a day, and the call may "
            "cost more; lower its limit of output tokens, or wait until 00:00 UTC"
        )
        self.left_usd = left_usd
        self.after_s = after_s


class OwnBudgetSpent(RouterError):
    """The router's own calls of a purpose have cost all that they may, or do if those under way cost most."""

    def __init__(self, purpose: str, spent_usd: float, budget_usd: float) -> None:
        super().__init__(
            f"calls to {purpose} have a budget of {budget_usd:g} USD, of which {spent_usd:.6g} is spent or "
            "may be by calls under way; raise the budget, or wait for a new one"
        )
        self.spent_usd = spent_usd


class UnknownDecision(RouterError, LookupError):
    """No decision with that id in this router's log."""

    def __init__(self, decision_id: str) -> None:
        super().__init__(f"no decision {decision_id!r} in this router's log")
        self.decision_id = decision_id


class UnknownAnswer(RouterError, LookupError):
    """No call of this router was answered with that id."""

    def __init__(self, answer_id: str) -> None:
        super().__init__(f"no call of this router was answered with the id {answer_id!r}")
        self.answer_id = answer_id


class UnknownKey(RouterError, LookupError):
    """No API key of this router has that id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no API key of this router has the id {key_id!r}; see `bandit-router keys list`")
        self.key_id = key_id


class AmbiguousAnswer(RouterError):
    """Several calls were answered with that id."""

    def __init__(self, answer_id: str) -> None:
        super().__init__(
            f"several decisions were answered with the id {answer_id!r}; "
            "send the decision id, which is in the header x-bandit-decision"
        )
        self.answer_id = answer_id


class UnknownConversation(RouterError, LookupError):
    """No conversation with that id keeps an arm, or not any more."""

    def __init__(self, conversation: str) -> None:
        super().__init__(
            f"no conversation {conversation!r} that keeps an arm: it is unknown, or was not heard of for "
            "conversations.ttl_s, or conversations.sticky is off; send decision_id instead"
        )
        self.conversation = conversation


class NoBudget(RouterError, LookupError):
    """No worker of this router has a goal."""

    def __init__(self, router: str) -> None:
        super().__init__(
            f"no worker of router {router!r} has a goal; "
            "set usd_per_request, usd_per_day or mean_quality under [budget] and start one"
        )


class NoSafety(RouterError, LookupError):
    """The router has no baseline."""

    def __init__(self, router: str) -> None:
        super().__init__(
            f"no policy of router {router!r} is bound; "
            "name the arm to compare with as baseline under [safety] and start a worker"
        )


class IdempotencyConflict(RouterError):
    """The idempotency key was used before with a different request."""

    def __init__(self, key: str) -> None:
        super().__init__(f"idempotency key {key!r} was used before with a different request")
        self.key = key


class AuthenticationError(RouterError):
    """The service was sent no API key, or one that is not valid."""


class PermissionDenied(RouterError):
    """The API key lacks the scope, or there are no keys and the service answers local programs alone."""


class RateLimited(RouterError):
    """More requests than the API key has."""


class ServiceError(RouterError):
    """The service, or a proxy before it, answered with none of these errors; ``status`` is that of HTTP."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"the service answered {status}: {detail}")
        self.status = status


class ServiceUnreachable(RouterError):
    """No answer came from the service, which may have acted.

    ``idempotency_key`` is the key that was sent, None for a request without: repeat with it to act only once.
    """

    def __init__(self, origin: str, why: str, idempotency_key: str | None = None) -> None:
        super().__init__(f"no answer came from {origin}: {why}")
        self.idempotency_key = idempotency_key


class RouterClosed(RouterError):
    """The router was used after close()."""

    def __init__(self) -> None:
        super().__init__("the router is closed; open a new one with Router.open(settings)")


class RouterForked(RouterClosed):
    """The router, or a client, was opened before this process was forked: its threads are not in it."""

    def __init__(self) -> None:
        Exception.__init__(
            self,
            "the router was opened before this process was forked, which its threads and connections do not "
            "survive; fork first and open a router in each process, or start processes by spawning",
        )


class ClientClosed(RouterClosed):
    """The client was used after close()."""

    def __init__(self) -> None:
        Exception.__init__(self, "the client is closed; make a new one")


class StoreError(RouterError):
    """The database cannot do what was asked."""


class SchemaVersionError(StoreError):
    """The database has another schema version than this package."""


class SnapshotCorrupt(StoreError):
    """A stored snapshot fails its checksum or cannot be read."""


class DatabaseBusy(StoreError):
    """Another program keeps the database locked."""

    def __init__(self) -> None:
        super().__init__(
            "the database is locked: another program, or a worker that is stopped, has kept it locked for "
            "longer than store.lock_timeout_s; retry, and end that program"
        )


class DatabaseReplaced(StoreError):
    """The SQLite file, or its write-ahead log, was deleted or replaced while it was open."""

    def __init__(self) -> None:
        super().__init__(
            "the database file, or the -wal file beside it, was deleted or replaced while it was open: "
            "nothing is written any more; put it back and restart"
        )


class CommitTimeout(StoreError):
    """A write was not committed in time, and may be yet."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(
            f"not committed within {timeout_s:g} s, and it may be yet; "
            "a repeated request with the same idempotency key acts only once"
        )


RETRY_AFTER_S = 1.0
"""Seconds to wait before retrying after a full queue or an unavailable database."""


class Overloaded(StoreError):
    """The write queue is full."""

    def __init__(self) -> None:
        super().__init__(f"the write queue is full; retry after {RETRY_AFTER_S:g} s")
