"""[store] and [server]: where decisions are kept, and where the HTTP API listens."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bandit_router.settings.section import Positive, Seconds, Section


class StoreSection(Section):
    """The database of decisions, feedback and posteriors. Workers that share it share what they learn."""

    url: str = Field(
        "sqlite:///router.db",
        description=(
            "An SQLite file, which creates itself, or a PostgreSQL database, which "
            "`bandit-router migrate` prepares."
        ),
        examples=["sqlite:///router.db", "postgresql://user:password@host/database"],
    )
    queue_size: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10_000,
        description="Writes that may wait for a commit in one worker before callers are told to retry (503).",
    )
    keep_snapshots: Annotated[int, Field(ge=1)] = Field(
        1000,
        description=(
            "Published posteriors kept, so that `explain` and `verify` can recompute the scores of decisions "
            "made with them. The newest is always kept. Older decisions keep all that is logged of them."
        ),
    )
    keep_snapshots_mb: Positive = Field(
        256.0,
        description=(
            "Megabytes that kept snapshots may take, if that is fewer of them. One has some 8·d² bytes for "
            "each arm, with contexts of d numbers."
        ),
    )
    keep_snapshots_s: Positive | None = Field(
        None,
        description="Seconds that snapshots are kept, if that is fewer. By default age does not matter.",
        examples=[2_592_000],
    )
    clock_tolerance_s: Annotated[float, Field(ge=1, le=86_400)] = Field(
        60.0,
        description=(
            "Seconds that a worker's clock may differ from the database's; beyond that its stamps are the "
            "database's. A stored time further ahead of now is clamped."
        ),
    )
    lock_timeout_s: Seconds = Field(
        5.0,
        description="Seconds to wait for a lock that another program holds, before callers get 503.",
    )
    statement_timeout_s: Seconds = Field(
        30.0,
        description=(
            "Longest statement on PostgreSQL, seconds; one that takes longer fails. It also bounds how long "
            "a stopped worker keeps its locks. `verify`, `export` and `migrate` may take any time."
        ),
    )
    connect_timeout_s: Seconds = Field(
        5.0, description="Seconds to wait for a connection to PostgreSQL. Parameters in `url` win."
    )
    commit_timeout_s: Seconds = Field(
        30.0,
        description="Seconds that a caller waits for its write to be committed, before it gets 503.",
    )
    close_timeout_s: Seconds = Field(
        5.0,
        description=(
            "Seconds that closing a router waits for queued writes to be committed. "
            "Callers of the others are told that theirs were not."
        ),
    )


class ServerSection(Section):
    """Where `bandit-router serve` listens. Its options of the same names win over this section."""

    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. By default only this machine can connect.",
        examples=["127.0.0.1", "0.0.0.0"],
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8080, description="TCP port to listen on; 0 takes any free one."
    )
    open: bool = Field(
        False,
        description=(
            "Whether the service answers anybody who can connect, at your expense, while there are no API "
            "keys. By default it answers only programs of its own machine then. "
            "`bandit-router serve --open` sets it, too."
        ),
    )
    workers: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="Processes that serve requests. They share the database and what is learned."
    )
    max_body_bytes: Annotated[int, Field(ge=1024, le=2**30)] = Field(
        8 * 2**20,
        description=(
            "Largest body of a route request, bytes. 8 MiB hold a million tokens, or an image of 6 MB; raise "
            "it for arms that take more. A worker holds eight such bodies at most, and then answers 503."
        ),
    )
    max_header_bytes: Annotated[int, Field(ge=1024, le=16_777_216)] = Field(
        65_536, description="Most bytes of a request's path and headers; more get 431."
    )
    header_timeout_s: Seconds = Field(
        10.0, description="Seconds a client has to send its headers, before the connection is closed (408)."
    )
    body_timeout_s: Seconds = Field(
        30.0, description="Seconds a client has to send the body after them, before it is closed (408)."
    )
    shutdown_timeout_s: Seconds = Field(
        10.0,
        description=(
            "Seconds that requests under way get to end after SIGTERM. The process is gone after these and "
            "twice `store.close_timeout_s`, whatever still waits."
        ),
    )
