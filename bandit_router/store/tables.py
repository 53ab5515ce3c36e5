"""The database tables, as SQLAlchemy metadata: the log (decisions, feedback) and what is folded from it.

Every table has ``router`` in its key, so that a database can be sharded by router: routers share nothing.

A reward is counted in two transactions. The first inserts a feedback row and its pending mark. A learner
reads marks and computes the next model state without a lock; the second, short transaction takes the marks
away, records the counted values in ``folded`` and publishes the next snapshot. So the rows of ``folded`` in
the generation in force always list exactly the values that the newest snapshot contains. A rebuild writes a
new generation beside the one in force, and puts it in force at its end.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION = "0027_safety"
"""The newest revision under migrations/versions; a database must be at it."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

_ID = String(36)
_NAME = String(128)
_KEY = String(255)
_USER = String(256)
_OPTIONAL = JSON(none_as_null=True)


def _router() -> Column[str]:
    return Column("router", _NAME, primary_key=True, comment="Router the row belongs to; the shard key")


def _claimed(name: str = "claimed_at") -> Column[float]:
    return Column(name, Double, comment="Unix time a clock claimed that was wrong; null: it was right")


def _result_columns() -> tuple[Column[Any], ...]:
    """How a call ended, and what it cost: fields of :class:`bandit_router.types.CallResult`."""
    return (
        Column("outcome", String(16), comment="How it ended; null: it has not, or its worker was killed"),
        Column("ttft_s", Double, comment="Seconds to the first content of the answer; null: none came"),
        Column("latency_s", Double, comment="Seconds to the end; null: it has none"),
        Column("status", Integer, comment="HTTP status of upstream; null: it gave none"),
        Column("input_tokens", BigInteger, comment="Input read at full price; null: no usage is known"),
        Column("cache_read_tokens", BigInteger, comment="Input read from the provider's cache"),
        Column("cache_write_tokens", BigInteger, comment="Input written to the provider's cache"),
        Column("cache_write_1h_tokens", BigInteger, comment="The part of it that is kept for an hour"),
        Column("output_tokens", BigInteger, comment="Output, with its reasoning"),
        Column("reasoning_tokens", BigInteger, comment="The part of the output that is reasoning"),
        Column("service_tier", String(32), comment="The provider's tier, where it has another price"),
        Column("cost_usd", Double, comment="USD; null until it has ended"),
        Column("cost_reported", Boolean, comment="By the usage upstream reported; false: it is an estimate"),
        Column("served_model", Text, comment="The model that upstream says answered"),
        Column("request_id", Text, comment="Upstream's id of the request"),
        Column("answer_id", _KEY, comment="Upstream's id of the answer; feedback may name it"),
        Column("finish", Text, comment="Why the answer ended, in the words of its dialect"),
        Column("error", Text, comment="What went wrong"),
    )


routers = Table(
    "routers",
    metadata,
    Column("name", _NAME, primary_key=True, comment="Name of the router"),
    Column("schema_id", Text, nullable=False, comment="Feature pipeline all its contexts come from"),
    Column("version", BigInteger, nullable=False, comment="Newest published snapshot"),
    Column("reward_weights", JSON, nullable=False, comment="Metric weights of the rewards it has counted"),
    Column("arms_revision", BigInteger, nullable=False, comment="Grows with every change to its arms"),
    Column("weights_since", BigInteger, comment="First snapshot of these reward_weights; null: the first"),
    Column("generation", BigInteger, nullable=False, server_default="1", comment="Rows of folded in force"),
    Column("rebuilding", BigInteger, comment="Newest generation that a rebuild was begun for"),
    Column("rebuilding_at", Double, comment="Unix time of its last sign of life; null: it is over"),
    Column("corrected_at", Double, comment="Unix time of a change of the log; null: it is rebuilt since"),
    Column("settings_id", BigInteger, comment="The applied_settings in force; null: none on record"),
    Column("pinned_arm", _NAME, comment="Arm that all traffic goes to; null: to the arms that are chosen"),
    Column("pinned_until", Double, comment="Unix time at which that ends by itself"),
    Column("user_secret", String(64), comment="Key of the hashes of users, hexadecimal"),
    Column("rollups_at", Double, comment="Unix time its roll-ups were made from the log; null: not yet"),
    Column(
        "rollups_revision",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Grows with every correction of its roll-ups by the log",
    ),
    Column(
        "tasks_revision",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Grows when a task gets another name",
    ),
    Column("rollout_stage", BigInteger, comment="Stage of the rollout under way; null: there is none"),
    Column("safety_share", Double, comment="Share of traffic that a bound policy has; null: none is bound"),
    comment="One row per router: what is published, and the lock that serialises learners",
)

applied_settings = Table(
    "applied_settings",
    metadata,
    _router(),
    Column("id", BigInteger, primary_key=True, comment="1, 2, 3, … per router; the largest is in force"),
    Column("fingerprint", String(64), nullable=False, comment="SHA-256 of the settings"),
    Column("settings", JSON, nullable=False, comment="Sections that all workers share, without defaults"),
    Column("applied_at", Double, nullable=False, comment="Unix time, seconds"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="The settings a router was given; a worker with superseded ones runs with those in force",
)

rollout_stages = Table(
    "rollout_stages",
    metadata,
    _router(),
    Column("id", BigInteger, primary_key=True, comment="1, 2, 3, … per router"),
    Column("contest", Text, nullable=False, comment="Specs of its incumbent and its candidate"),
    Column("share", Double, nullable=False, comment="Share of traffic that the candidate has"),
    Column("since", Double, nullable=False, comment="Unix time at which it began, seconds"),
    Column("aborted", Boolean, nullable=False, comment="Whether the share was taken back in an emergency"),
    Column("why", Text, nullable=False, comment="What began it"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="The stages of rollouts, each until the next one",
)

arms = Table(
    "arms",
    metadata,
    _router(),
    Column("name", _NAME, primary_key=True, comment="Name of the arm, unique in its router"),
    Column("provider", _NAME, nullable=False, comment="Who serves the model"),
    Column("model", Text, nullable=False, comment="The provider's model id"),
    Column("input_usd_per_mtok", Double, nullable=False, comment="USD per million input tokens"),
    Column("output_usd_per_mtok", Double, nullable=False, comment="USD per million output tokens"),
    Column(
        "expected_output_tokens", Integer, nullable=False, comment="Output tokens assumed for pricing a call"
    ),
    Column("context_window", Integer, comment="Most tokens the model accepts; null is unlimited"),
    Column("capabilities", JSON, nullable=False, comment="Sorted list of capability names"),
    Column("enabled", Boolean, nullable=False, comment="The owner's switch; false is never eligible"),
    Column("declared", Boolean, nullable=False, comment="Listed and on in router.toml, or added at run time"),
    Column(
        "runtime", Boolean, nullable=False, comment="Added at run time, so router.toml does not govern it"
    ),
    Column("reset_at", Double, comment="Unix time; older decisions are not learned from; null: all are"),
    Column("reset_snapshot", BigInteger, comment="First snapshot that knows of the reset"),
    _claimed("reset_claimed_at"),
    Column("renamed_to", _NAME, comment="The name of the arm that its decisions count for; null: its own"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="The models a router can choose; rows are never deleted, so that the log stays readable",
)

decisions = Table(
    "decisions",
    metadata,
    _router(),
    Column("id", _ID, primary_key=True, comment="UUIDv7; joins everything"),
    Column("decided_at", Double, nullable=False, comment="Unix time of the decision, seconds"),
    Column("x", LargeBinary, nullable=False, comment="Context, little-endian float64"),
    Column("schema_id", Text, nullable=False, comment="Feature pipeline that made x"),
    Column("eligible", JSON, nullable=False, comment="Eligible arms; the order of pmf and costs"),
    Column("pmf", JSON, nullable=False, comment="Probability of each eligible arm; sums to 1"),
    Column("costs_usd", JSON, nullable=False, comment="Expected cost of each eligible arm, USD"),
    Column("arm", _NAME, nullable=False, comment="The action: the arm chosen"),
    Column("propensity", Double, nullable=False, comment="Probability the policy gave the action"),
    Column("reason", String(16), nullable=False, comment="Why; only 'policy' rows are exploration"),
    Column("policy", Text, nullable=False, comment="Policy and its parameters, as parse_policy reads them"),
    Column("snapshot", BigInteger, nullable=False, comment="Version of the snapshot that was read"),
    Column("cost_weight", Double, nullable=False, comment="Reward given up to save one dollar, 1/USD"),
    Column("expected_quality", Double, nullable=False, comment="Posterior mean reward of the action"),
    Column("expected_cost_usd", Double, nullable=False, comment="Expected cost of the action, USD"),
    Column("conversation", _KEY, comment="Conversation the caller named"),
    Column("parent", _ID, comment="Decision this one follows, such as an escalation"),
    Column("idempotency_key", _KEY, comment="Key the caller sent with the request"),
    Column("query", Text, comment="Query text; null unless router.log_queries is on"),
    Column("list_cost_usd", Double, comment="Cost of the action by its price list, USD"),
    Column("signals", _OPTIONAL, comment="What was known of the query besides x, by name; null: nothing"),
    Column("excluded", _OPTIONAL, comment="Why each other arm was not eligible; null: none was excluded"),
    _claimed(),
    Column(
        "user_id", _USER, comment="User the caller named: a keyed hash, in clear if router.log_users is on"
    ),
    Column("key_id", String(16), comment="API key of the request; null: it had none"),
    Column("greedy_utility", Double, comment="Largest utility of an eligible arm; null: it is not known"),
    Column("task", Integer, comment="Number of its task, see tasks; null: none is known"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="The log of choices; rows never change, but for a stamp ahead; ids sort by time",
)

_HAS_PARENT = decisions.c.parent.is_not(None)
Index(
    "ix_decisions_parent",
    decisions.c.router,
    decisions.c.parent,
    sqlite_where=_HAS_PARENT,
    postgresql_where=_HAS_PARENT,
)
"""Finds the children of a decision; the many decisions without a parent are not indexed."""

_HAS_USER = decisions.c.user_id.is_not(None)
Index(
    "ix_decisions_user",
    decisions.c.router,
    decisions.c.user_id,
    decisions.c.id,
    sqlite_where=_HAS_USER,
    postgresql_where=_HAS_USER,
)
"""Finds the decisions of a user, in the order of time."""

tasks = Table(
    "tasks",
    metadata,
    _router(),
    Column(
        "number", Integer, primary_key=True, autoincrement=False, comment="0, 1, 2, … below 64 per router"
    ),
    Column("name", String(200), nullable=False, comment="Name of the task, unique in its router"),
    Column("sketch", LargeBinary, comment="Sketch of the prompt that named it; null: a caller did"),
    Column("first_seen_at", Double, nullable=False, comment="Unix time, seconds"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    UniqueConstraint("router", "name"),
    comment="The tasks that are learned apart; rows are never deleted, all further names share number 64",
)

feedback = Table(
    "feedback",
    metadata,
    _router(),
    Column("decision_id", _ID, primary_key=True, comment="Decision it is about"),
    Column("metric", String(32), primary_key=True, comment="Name of a metric, such as quality or cost_usd"),
    Column(
        "revision",
        Integer,
        primary_key=True,
        comment="0 for the first value, then 1, 2, …; the largest counts",
    ),
    Column("value", Double, comment="The value; null retracts the metric"),
    Column("received_at", Double, nullable=False, comment="Unix time it arrived, seconds"),
    _claimed(),
    Column("key_id", String(16), comment="API key that gave it; null: it has none"),
    Column(
        "weight",
        Double,
        nullable=False,
        server_default="1",
        comment="How much it counts, in [0, 1]; fixed when it was accepted",
    ),
    ForeignKeyConstraint(["router", "decision_id"], ["decisions.router", "decisions.id"]),
    comment="The log of outcomes; rows are only ever added",
)

pending = Table(
    "pending",
    metadata,
    _router(),
    Column("decision_id", _ID, primary_key=True, comment="Decision of the feedback row"),
    Column("metric", String(32), primary_key=True, comment="Metric of the feedback row"),
    Column("revision", Integer, primary_key=True, comment="Revision of the feedback row"),
    Column(
        "rebuild",
        BigInteger,
        comment="Folded into the state in force; this generation still has to look. Null: not folded yet",
    ),
    ForeignKeyConstraint(
        ["router", "decision_id", "metric", "revision"],
        ["feedback.router", "feedback.decision_id", "feedback.metric", "feedback.revision"],
    ),
    comment="One mark per feedback row no learner has looked at; a fold takes it away",
)

safety_marks = Table(
    "safety_marks",
    metadata,
    _router(),
    Column("decision_id", _ID, primary_key=True, comment="Decision that its safety_books lacks"),
    ForeignKeyConstraint(["router", "decision_id"], ["decisions.router", "decisions.id"]),
    comment="One mark per decision not yet compared with the baseline; a fold takes it away",
)

safety_books = Table(
    "safety_books",
    metadata,
    _router(),
    Column("baseline", _NAME, nullable=False, comment="Arm that decisions are compared with"),
    Column("at_most", Double, nullable=False, comment="Share of what it earns that may be lost"),
    Column("probability", Double, nullable=False, comment="Probability with which that holds"),
    Column("since", Double, nullable=False, comment="Unix time at which the book was begun, seconds"),
    Column("decisions", BigInteger, nullable=False, comment="Decisions compared so far"),
    Column("earned", Double, nullable=False, comment="Utility that the baseline would have earned on them"),
    Column("lost_mean", Double, nullable=False, comment="Utility lost to the baseline, as expected"),
    Column("lost_high", Double, nullable=False, comment="The most that was lost, with the probability"),
    Column("book", LargeBinary, comment="Sums that both are predicted from; null: nothing is booked yet"),
    Column("revision", BigInteger, nullable=False, comment="Grows with every change"),
    Column("snapshot", BigInteger, nullable=False, comment="Newest snapshot that it was predicted from"),
    Column("reset_snapshot", BigInteger, nullable=False, comment="Newest reset of an arm that is settled"),
    Column("folded_at", Double, nullable=False, comment="Unix time of the newest fold, seconds"),
    Column("ahead", Double, nullable=False, comment="Decisions that the share was found for"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="What a bound policy may have lost to its baseline; one book per router",
)

folded = Table(
    "folded",
    metadata,
    _router(),
    Column("generation", BigInteger, primary_key=True, comment="Which rebuild made it; see routers"),
    Column("quantity", String(32), primary_key=True, comment="Name of a learned quantity, such as reward"),
    Column("decision_id", _ID, primary_key=True, comment="Decision whose value is counted"),
    Column("value", Double, nullable=False, comment="The value counted"),
    Column("version", BigInteger, nullable=False, comment="Snapshot that first contained this value"),
    Column("weight", Double, nullable=False, server_default="1", comment="The weight it is counted with"),
    ForeignKeyConstraint(["router", "decision_id"], ["decisions.router", "decisions.id"]),
    comment="Exactly what the newest snapshot counts, in the generation in force",
)

snapshots = Table(
    "snapshots",
    metadata,
    _router(),
    Column("version", BigInteger, primary_key=True, comment="1, 2, 3, … per router"),
    Column("published_at", Double, nullable=False, comment="Unix time of publication, seconds"),
    Column("state", LargeBinary, nullable=False, comment="Model state in its binary form, checksummed"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="Published model states; the oldest are pruned",
)

warm_starts = Table(
    "warm_starts",
    metadata,
    _router(),
    Column("id", BigInteger, primary_key=True, comment="1, 2, 3, … per router; the largest is in force"),
    Column("loaded_at", Double, nullable=False, comment="Unix time, seconds"),
    Column("source", Text, nullable=False, comment="Where it is from"),
    Column("trust", Double, comment="Queries it may count for; null: as many as it is of"),
    Column("state", LargeBinary, comment="Model state that knows nothing else; null: no warm start"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="Evidence from elsewhere that counts as prior; what a rebuild from the log begins with",
)

_FORGOTTEN = "The part of it that is of users who were forgotten, and is not in the log"

spending = Table(
    "spending",
    metadata,
    _router(),
    Column("goal", Double, nullable=False, comment="USD or reward it is paced by"),
    Column("goal_kind", String(16), nullable=False, comment="request or day for USD, reward for a floor"),
    Column("weights", Text, nullable=False, comment="Of a floor: what rewards are made of, JSON; else empty"),
    Column(
        "since", Double, nullable=False, comment="Unix time of the start, seconds; older decisions are out"
    ),
    Column("requests", BigInteger, nullable=False, comment="Decisions booked"),
    Column("allowance_usd", Double, nullable=False, comment="What they might spend, USD"),
    Column("spent_usd", Double, nullable=False, comment="Expected costs, corrected by those reported, USD"),
    Column("forgone_usd", Double, nullable=False, comment="Allowance that lay unused for too long, USD"),
    Column("earned", Double, nullable=False, comment="Of a floor: expected rewards, corrected by feedback"),
    Column("excused", Double, nullable=False, comment="Rewards missing given up, less those beyond it"),
    Column("pressure", Double, nullable=False, comment="Logarithm of the price of a dollar, as paced so far"),
    Column("as_of", Double, nullable=False, comment="Unix time of the last change, seconds"),
    Column("revision", BigInteger, nullable=False, server_default="0", comment="Grows with every change"),
    Column("forgotten_requests", BigInteger, nullable=False, server_default="0", comment=_FORGOTTEN),
    Column("forgotten_usd", Double, nullable=False, server_default="0", comment=_FORGOTTEN),
    Column("forgotten_earned", Double, nullable=False, server_default="0", comment=_FORGOTTEN),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="How a router's goal stands; changed in the transaction of the decision or the feedback",
)

idempotency = Table(
    "idempotency",
    metadata,
    _router(),
    Column("key", _KEY, primary_key=True, comment="Idempotency-Key of a request that was committed"),
    Column("digest", String(64), nullable=False, comment="SHA-256 of the request; another one is a conflict"),
    Column("answer", JSON, nullable=False, comment="What was answered, to be answered again"),
    Column("created_at", Double, nullable=False, comment="Unix time, seconds"),
    Column("decision_id", _ID, comment="Decision that was made, or that feedback was on; null: an older row"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="Requests that carried a key, inserted in the transaction of their effect",
)

_HAS_DECISION = idempotency.c.decision_id.is_not(None)
Index(
    "ix_idempotency_decision",
    idempotency.c.router,
    idempotency.c.decision_id,
    sqlite_where=_HAS_DECISION,
    postgresql_where=_HAS_DECISION,
)
"""Finds the keys of a decision, which is forgotten with them."""

conversations = Table(
    "conversations",
    metadata,
    _router(),
    Column("id", _KEY, primary_key=True, comment="Conversation the caller named"),
    Column("arm", _NAME, nullable=False, comment="The arm it keeps"),
    Column("choice", _ID, nullable=False, comment="Decision that chose the arm; gets its feedback"),
    Column("promoted", Boolean, nullable=False, comment="Its one change of arm has been made"),
    Column("started_at", Double, nullable=False, comment="Unix time of its first decision, seconds"),
    Column("seen_at", Double, nullable=False, comment="Unix time of its newest decision, seconds"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="The arm every conversation keeps; changed in the transaction of a decision, never deleted",
)

escalations = Table(
    "escalations",
    metadata,
    _router(),
    Column("parent", _ID, primary_key=True, comment="Decision whose answer was judged; at most once"),
    Column("asked_at", Double, nullable=False, comment="Unix time, seconds"),
    Column("confidence", Double, nullable=False, comment="How sure of its answer the model was, in [0, 1]"),
    Column("p_good", Double, nullable=False, comment="Expected reward of the answer, given that"),
    Column("p_retry_good", Double, comment="Expected reward of a retry; null: there could be none"),
    Column("propensity", Double, nullable=False, comment="Probability of what was done"),
    Column("snapshot", BigInteger, nullable=False, comment="Version of the snapshot that was read"),
    Column("why", Text, nullable=False, comment="Why it was done, in words"),
    Column("decision_id", _ID, comment="Decision that retries the query; null: the answer was accepted"),
    _claimed(),
    ForeignKeyConstraint(["router", "parent"], ["decisions.router", "decisions.id"]),
    comment="Answers accepted or retried; inserted in the transaction of the retry, never changed",
)

calls = Table(
    "calls",
    metadata,
    _router(),
    Column("decision_id", _ID, primary_key=True, comment="Decision whose arm was called; at most once"),
    Column("started_at", Double, nullable=False, comment="Unix time, seconds; committed before the call"),
    *_result_columns(),
    Column("key_id", String(16), comment="API key whose budget bears it; null: it has none"),
    Column("day", Integer, comment="Day of that budget: days since 1970, UTC"),
    Column("reserved_nano_usd", BigInteger, comment="What was reserved of it, billionths of USD"),
    ForeignKeyConstraint(["router", "decision_id"], ["decisions.router", "decisions.id"]),
    comment="Calls of the gateway; inserted with the decision, changed once, when the call ends",
)

own_calls = Table(
    "own_calls",
    metadata,
    _router(),
    Column("id", _ID, primary_key=True, comment="UUIDv7"),
    Column("purpose", String(16), nullable=False, comment="What it is for: label, judge, self_check, sample"),
    Column("arm", _NAME, nullable=False, comment="Arm that is called, by its name then"),
    Column("decision_id", _ID, comment="Decision it is about; null: none, or it was forgotten"),
    Column("run", String(32), comment="Run of a command that makes it; null: a service makes it"),
    Column("item", String(64), comment="What of its run it is about, such as a digest of a query"),
    Column("started_at", Double, nullable=False, comment="Unix time, seconds; committed before the call"),
    Column("day", Integer, nullable=False, comment="Day of its budget: days since 1970, UTC"),
    Column("lost_at", Double, nullable=False, comment="Unix time from which it is lost if it has not ended"),
    Column("worst_usd", Double, nullable=False, comment="The most it may cost, USD"),
    *_result_columns(),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="Calls that the router makes for itself; inserted before they are sent, changed once",
)

api_keys = Table(
    "api_keys",
    metadata,
    _router(),
    Column("id", String(16), primary_key=True, comment="Public part of the key, by which it is looked up"),
    Column("name", _NAME, nullable=False, comment="What its owner calls it"),
    Column("secret_hash", String(64), nullable=False, comment="SHA-256 of its secret, which is kept nowhere"),
    Column("scopes", JSON, nullable=False, comment="Sorted list: route, feedback, read, admin"),
    Column("arms", _OPTIONAL, comment="Sorted list of the only arms it may call; null: all"),
    Column("usd_per_day", Double, comment="USD its calls may cost a day; null: no limit"),
    Column("requests_per_second", Double, comment="Requests each worker answers it; null: no limit"),
    Column("burst", Integer, comment="Requests that may come at once; null: no limit"),
    Column("created_at", Double, nullable=False, comment="Unix time, seconds"),
    Column("created_by", Text, nullable=False, comment="Who created it, as in audit"),
    Column("expires_at", Double, comment="Unix time from which it is refused; null: never"),
    Column("revoked_at", Double, comment="Unix time it was revoked; null: it was not"),
    Column("rotated_at", Double, comment="Unix time of its newest secret; null: it has its first"),
    Column("former_hash", String(64), comment="SHA-256 of the secret before; null: no longer valid"),
    Column("former_until", Double, comment="Unix time until which that one is valid, too"),
    Column("quarantined_at", Double, comment="Unix time; its feedback counts for nothing. Null: it counts"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="API keys of a router; rows are never deleted: once there is one, every request needs one",
)

sessions = Table(
    "sessions",
    metadata,
    _router(),
    Column("token_hash", String(64), primary_key=True, comment="SHA-256 of its token"),
    Column("key_id", String(16), nullable=False, comment="API key it was begun with"),
    Column("secret_hash", String(64), nullable=False, comment="SHA-256 of that key's secret"),
    Column("expires_at", Double, nullable=False, comment="Unix time from which it is refused"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="Browsers that are logged in to the dashboard; deleted when they log out",
)

_IN_QUARANTINE = api_keys.c.quarantined_at.is_not(None)
Index(
    "ix_api_keys_quarantined",
    api_keys.c.router,
    api_keys.c.id,
    sqlite_where=_IN_QUARANTINE,
    postgresql_where=_IN_QUARANTINE,
)
"""Finds the few keys whose feedback is not read; all others are not indexed."""

key_feedback = Table(
    "key_feedback",
    metadata,
    _router(),
    Column("day", Integer, primary_key=True, autoincrement=False, comment="Days since 1970, UTC"),
    Column("key_id", String(16), primary_key=True, comment="API key that gave feedback"),
    Column("given", BigInteger, nullable=False, comment="Pieces of feedback, not counting revisions"),
    Column("weight", Double, nullable=False, comment="Sum of the weights that were capped"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="How much feedback each API key gave, day by day; what weights are made from",
)

key_spending = Table(
    "key_spending",
    metadata,
    _router(),
    Column("key_id", String(16), primary_key=True, comment="API key that has a budget"),
    Column("day", Integer, primary_key=True, autoincrement=False, comment="Days since 1970, UTC"),
    Column("reserved_nano_usd", BigInteger, nullable=False, comment="By calls under way, billionths of USD"),
    Column("spent_nano_usd", BigInteger, nullable=False, comment="By calls that ended, billionths of USD"),
    Column("forgotten_nano_usd", BigInteger, nullable=False, server_default="0", comment=_FORGOTTEN),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="The budgets of API keys, day by day; changed when a call begins, and when it ends",
)

audit = Table(
    "audit",
    metadata,
    _router(),
    Column("id", _ID, primary_key=True, comment="UUIDv7"),
    Column("at", Double, nullable=False, comment="Unix time, seconds"),
    Column("actor", Text, nullable=False, comment="Who did it: user@host, or the id of a key"),
    Column("act", String(32), nullable=False, comment="What was done, such as key_created"),
    Column("subject", Text, comment="What it was done to: an arm, a key; null: the router"),
    Column("details", _OPTIONAL, comment="Its particulars, by name; null: none"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="Administrative acts, inserted in the transaction of the act, never changed",
)

rollups = Table(
    "rollups",
    metadata,
    _router(),
    Column("cube", String(8), primary_key=True, comment="hour, day, tier, key or task; the last four by day"),
    Column(
        "hour",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="First hour of the decisions, as hours since 1970 UTC",
    ),
    Column("member", _KEY, primary_key=True, comment="Their tier, key or task; empty: all decisions"),
    Column("kept", Boolean, primary_key=True, comment="Of decisions that are not in the log any more"),
    Column("arm", _NAME, primary_key=True, comment="Their arm, by the name in the log"),
    Column("reason", String(16), primary_key=True, comment="Why they were made"),
    Column("measure", String(32), primary_key=True, comment="A metric, or what is known without feedback"),
    Column("count", BigInteger, nullable=False, comment="Number of values"),
    Column("total_high", BigInteger, nullable=False, comment="Their sum in fixed point: high · 2³² + low"),
    Column("total_low", BigInteger, nullable=False, comment="See total_high"),
    Column("squares_high", BigInteger, nullable=False, comment="Sum of their squares, in the same form"),
    Column("squares_low", BigInteger, nullable=False, comment="See squares_high"),
    Column("bins", LargeBinary, comment="Values by bin: pairs of int32; null: the measure is not binned"),
    Column("delays", LargeBinary, comment="Seconds to the first value, by bin; null: it had none"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="Sums over the log by hour and day; learners fold rollup_deltas into it",
    sqlite_with_rowid=False,
)

rollup_deltas = Table(
    "rollup_deltas",
    metadata,
    _router(),
    Column("id", String(32), primary_key=True, comment="UUIDv7, without hyphens"),
    Column("slices", JSON, nullable=False, comment="Sums to add, by slice and measure"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="What transactions add to rollups: inserted with the log, and taken away by a fold",
)

estimates = Table(
    "estimates",
    metadata,
    _router(),
    Column("kind", String(16), primary_key=True, comment="What is estimated: savings"),
    Column("made_at", Double, comment="Unix time of the newest estimate; null: there is none yet"),
    Column("body", _OPTIONAL, comment="The newest estimate; null: there is none yet"),
    Column("holder", String(64), comment="Worker that makes the next one; null: nobody does"),
    Column("held_until", Double, comment="Unix time from which another worker may; null: nobody does"),
    ForeignKeyConstraint(["router"], ["routers.name"]),
    comment="What is estimated from a sample of the log, now and then, by the worker with the lease",
)

_UNDER_WAY = calls.c.outcome.is_(None)
Index(
    "ix_calls_under_way",
    calls.c.router,
    calls.c.started_at,
    sqlite_where=_UNDER_WAY,
    postgresql_where=_UNDER_WAY,
)
"""Finds the calls that killed workers left; those that ended are not indexed."""

Index("ix_own_calls_day", own_calls.c.router, own_calls.c.purpose, own_calls.c.day)
"""Sums what calls of a purpose cost in a day."""

_OWN_UNDER_WAY = own_calls.c.outcome.is_(None)
Index(
    "ix_own_calls_under_way",
    own_calls.c.router,
    own_calls.c.lost_at,
    sqlite_where=_OWN_UNDER_WAY,
    postgresql_where=_OWN_UNDER_WAY,
)
"""Finds the calls that never ended."""

_OF_RUN = own_calls.c.run.is_not(None)
Index(
    "ix_own_calls_run",
    own_calls.c.router,
    own_calls.c.run,
    sqlite_where=_OF_RUN,
    postgresql_where=_OF_RUN,
)
"""Finds the calls of a run that goes on where it was killed."""

_HAS_ANSWER = calls.c.answer_id.is_not(None)
Index(
    "ix_calls_answer",
    calls.c.router,
    calls.c.answer_id,
    sqlite_where=_HAS_ANSWER,
    postgresql_where=_HAS_ANSWER,
)
"""Finds the decision of an answer."""

for _table in (decisions, feedback, escalations):
    _claim = _table.c.claimed_at.is_not(None)
    Index(f"ix_{_table.name}_claimed", _table.c.router, sqlite_where=_claim, postgresql_where=_claim)
"""Count the stamps of wrong clocks; all others are not indexed."""
