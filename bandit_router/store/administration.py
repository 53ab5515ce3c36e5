"""What the owner of a router does to it: switch and pin arms, issue and revoke keys; all in the audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from bandit_router.security import issue
from bandit_router.security.budget import KeySpending, find_day
from bandit_router.security.issue import KeyRequest
from bandit_router.security.keys import ApiKey, Credential, NewSecret, hash_secret
from bandit_router.security.sessions import SESSION_S, Session, make_token
from bandit_router.store import arms, estimates, keys, own_calls, rollouts, sessions, tasks
from bandit_router.store.acts import Act, ActKind, find_actor, insert_act, read_acts
from bandit_router.store.database import Database
from bandit_router.store.engine import translate_errors, write_transaction
from bandit_router.store.estimates import StoredEstimate
from bandit_router.store.key_ledger import read_key_spending
from bandit_router.store.own_calls import OwnBudget, OwnCall, OwnCallPlan, OwnCost
from bandit_router.store.rollouts import RolloutRecord
from bandit_router.store.snapshots import read_head
from bandit_router.store.tasks import NewTask, Task, TaskTable
from bandit_router.types import CallResult, RolloutStage, TrafficPin


class Administration(Database):
    """The administration of one router. Every act is recorded in the transaction that carries it out."""

    # -- arms -------------------------------------------------------------------------------------

    def enable_arm(self, name: str, enabled: bool) -> None:
        """Switch an arm on or off."""
        with self._writing() as connection:
            arms.enable_arm(connection, self.router, name, enabled)
            self._record(connection, ActKind.ARM_ENABLED if enabled else ActKind.ARM_DISABLED, name)

    def pin_traffic(self, arm: str, seconds: float) -> TrafficPin:
        """Have all traffic go to an arm for so many seconds, instead of any arm before."""
        pin = TrafficPin(arm, self.clock.reference() + seconds)
        with self._writing() as connection:
            arms.write_traffic_pin(connection, self.router, pin)
            self._record(connection, ActKind.TRAFFIC_PINNED, arm, until=pin.until)
        return pin

    def unpin_traffic(self) -> TrafficPin | None:
        """Let traffic go where it is decided to go; which pin that ends, None if there was none."""
        with self._writing() as connection:
            head = read_head(connection, self.router, lock=True)
            pin = None if head is None else head.traffic_pin
            if pin is not None:
                arms.write_traffic_pin(connection, self.router, None)
                self._record(connection, ActKind.TRAFFIC_UNPINNED, pin.arm)
        return pin

    # -- tasks ------------------------------------------------------------------------------------

    def tasks(self) -> list[Task]:
        """The tasks that are learned apart, in the order of their numbers."""
        with self._reading() as connection:
            return tasks.read_tasks(connection, self.router)

    def number_task(self, new: NewTask) -> TaskTable:
        """Number a task, unless all numbers are given; all tasks then."""
        with self._writing() as connection:
            return tasks.number_task(connection, self.router, new, self.clock.now())

    def rename_task(self, old: str, new: str) -> None:
        """Let a task have another name. Raises InvalidInput."""
        with self._writing() as connection:
            tasks.rename_task(connection, self.router, old, new)
            self._record(connection, ActKind.TASK_RENAMED, new, was=old)

    # -- the rollout ------------------------------------------------------------------------------

    def rollout(self) -> RolloutRecord | None:
        """The stage of the rollout under way; None without one."""
        with self._reading() as connection:
            return rollouts.read_stage(connection, self.router)

    def rollout_stages(self, contest: str) -> list[RolloutRecord]:
        """The stages of all rollouts with this contest, oldest first."""
        with self._reading() as connection:
            return rollouts.read_stages(connection, self.router, contest)

    def change_rollout(
        self, share: float, *, why: str, aborted: bool = False, only_after: int | None = None
    ) -> RolloutStage | None:
        """Give the candidate another share of traffic, which begins a stage; None without a rollout.

        With ``only_after``, nothing is changed unless that stage is still under way.
        """
        with self._writing() as connection:
            read_head(connection, self.router, lock=True)
            record = rollouts.read_stage(connection, self.router)
            if record is None or only_after not in (None, record.stage.id):
                return None
            since = self.clock.reference()
            stage = rollouts.begin_stage(
                connection, self.router, record.contest, share=share, since=since, why=why, aborted=aborted
            )
            kind = ActKind.ROLLOUT_ABORTED if aborted else ActKind.ROLLOUT_ADVANCED
            self._record(connection, kind, share=share, before=record.stage.share, why=why)
        return stage

    # -- keys -------------------------------------------------------------------------------------

    def create_key(self, request: KeyRequest) -> NewSecret:
        """A new key and its credential, which is not kept. Raises InvalidInput."""
        new = issue.issue_key(request, self.clock.reference(), find_actor())
        with self._writing() as connection:
            keys.insert_key(connection, self.router, new.key)
            self._record(connection, ActKind.KEY_CREATED, new.key.id, **_describe_key(new.key))
        return new

    def rotate_key(self, key_id: str, grace_s: float = 0.0) -> NewSecret:
        """The key with a new credential; the old one is valid for ``grace_s`` seconds more.

        Raises InvalidInput or UnknownKey.
        """
        with self._writing() as connection:
            key = keys.lock_key(connection, self.router, key_id)
            new = issue.rotate_key(key, self.clock.reference(), grace_s)
            keys.update_key(connection, self.router, new.key)
            self._record(connection, ActKind.KEY_ROTATED, key_id, name=key.name, grace_s=grace_s)
        return new

    def revoke_key(self, key_id: str) -> None:
        """Refuse a key from now on. Raises InvalidInput or UnknownKey."""
        with self._writing() as connection:
            key = keys.lock_key(connection, self.router, key_id)
            keys.update_key(connection, self.router, issue.revoke_key(key, self.clock.reference()))
            self._record(connection, ActKind.KEY_REVOKED, key_id, name=key.name)

    def find_key(self, key_id: str) -> ApiKey | None:
        """The key of that id, valid or not; None if there is none."""
        with self._reading() as connection:
            return keys.read_key(connection, self.router, key_id)

    def keys(self) -> list[ApiKey]:
        """Every key the router ever had, oldest first."""
        with self._reading() as connection:
            return keys.read_keys(connection, self.router)

    def key_spending(self) -> Mapping[str, KeySpending]:
        """What each key with a budget spent today (UTC) and has reserved, by id; none where it is nothing."""
        with self._reading() as connection:
            return read_key_spending(connection, self.router, find_day(self.clock.reference()))

    def has_keys(self) -> bool:
        """Whether the router ever had a key, so that every request needs one."""
        with self._reading() as connection:
            return keys.has_keys(connection, self.router)

    # -- sessions of the dashboard ----------------------------------------------------------------

    def begin_session(self, credential: Credential) -> str:
        """Let a browser in by a token instead of this credential; returns the token, which is not kept."""
        token, now = make_token(), self.clock.reference()
        with self._writing() as connection:
            sessions.delete_expired_sessions(connection, self.router, now)
            session = Session(credential, now + SESSION_S)
            sessions.insert_session(connection, self.router, hash_secret(token), session)
        return token

    def find_session(self, token_hash: str) -> Session | None:
        """The session of a token, expired or not; None if there is none."""
        with self._reading() as connection:
            return sessions.read_session(connection, self.router, token_hash)

    def end_session(self, token_hash: str) -> None:
        """End a session, if there is one."""
        with self._writing() as connection:
            sessions.delete_session(connection, self.router, token_hash)

    # -- estimates --------------------------------------------------------------------------------

    def estimate(self, kind: str) -> StoredEstimate | None:
        """The newest estimate of this kind; None if there is none yet."""
        with self._reading() as connection:
            return estimates.read_estimate(connection, self.router, kind)

    def take_lease(self, kind: str, holder: str, *, interval_s: float, lease_s: float) -> bool:
        """Whether ``holder`` shall make the next estimate of this kind, and has ``lease_s`` seconds for it.

        It is due when the newest is ``interval_s`` seconds old and nobody makes one.
        """
        periods = {"interval_s": interval_s, "lease_s": lease_s}
        with self._writing() as connection:
            now = self.clock.reference()
            return estimates.take_lease(connection, self.router, kind, holder, now, **periods)

    def store_estimate(self, kind: str, holder: str, body: Mapping[str, Any]) -> bool:
        """Store the estimate of the holder of the lease, which ends; False if another has it by now."""
        with self._writing() as connection:
            now = self.clock.reference()
            return estimates.store_estimate(connection, self.router, kind, holder, now, body)

    # -- calls of the router's own ----------------------------------------------------------------

    def begin_own_call(self, plan: OwnCallPlan, budget: OwnBudget | None = None) -> str:
        """The id of a call that is in the log now, and may be sent. Raises OwnBudgetSpent."""
        with self._writing() as connection:
            return own_calls.begin_own_call(connection, self.router, plan, budget, self.clock.stamp())

    def end_own_call(self, call_id: str, result: CallResult) -> bool:
        """End a call; whether this is its first end. Any other changes nothing."""
        with self._writing() as connection:
            return own_calls.end_own_call(connection, self.router, call_id, result)

    def lose_own_calls(self, run: str | None = None) -> int:
        """End as lost the calls that should have ended by now, or all of a run that goes on; how many."""
        with self._writing() as connection:
            return own_calls.lose_own_calls(connection, self.router, self.clock.now(), run)

    def own_calls(self, run: str) -> list[OwnCall]:
        """The calls of a run, oldest first."""
        with self._reading() as connection:
            return own_calls.read_own_calls(connection, self.router, run)

    def own_costs(self, since: int = 0) -> list[OwnCost]:
        """What own calls cost by purpose and day, from this day since 1970 (UTC) on."""
        with self._reading() as connection:
            return own_calls.read_own_costs(connection, self.router, since)

    # -- the audit --------------------------------------------------------------------------------

    def acts(self, last: int) -> list[Act]:
        """The newest ``last`` administrative acts, oldest first."""
        with self._reading() as connection:
            return read_acts(connection, self.router, last)

    def _record(
        self, connection: Connection, kind: ActKind, subject: str | None = None, **details: Any
    ) -> None:
        insert_act(connection, self.router, self.clock.stamp(), find_actor(), kind, subject, **details)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with translate_errors(), write_transaction(self._engine) as connection:
            yield connection


def _describe_key(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "scopes": sorted(key.scopes),
        "arms": None if key.arms is None else sorted(key.arms),
        "usd_per_day": key.usd_per_day,
        "requests_per_second": key.requests_per_second,
        "expires_at": key.expires_at,
    }
