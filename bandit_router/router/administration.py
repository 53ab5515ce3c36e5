"""What the owner of a router does to it while it runs: arms, pinned traffic, users and API keys."""

from __future__ import annotations

from dataclasses import replace

from bandit_router.errors import InvalidInput
from bandit_router.posterior.state import decode_state
from bandit_router.router.core import RouterCore
from bandit_router.router.rollout import ActiveRollout, missing_rollout_error
from bandit_router.security.issue import KeyRequest
from bandit_router.security.keys import ApiKey, Credential, NewSecret
from bandit_router.security.sessions import Session
from bandit_router.security.users import hash_user
from bandit_router.settings.arms import check_arm
from bandit_router.store.own_calls import OwnBudget, OwnCall, OwnCallPlan, OwnCost
from bandit_router.store.tasks import Task
from bandit_router.types import Arm, CallResult, RolloutStage, TrafficPin
from bandit_router.validation import USER_CHARS, check_string, check_text, read_number, read_task

LONGEST_PIN_S = 30 * 86_400.0
"""A pin is for an emergency; what is to last stands in the settings."""


class AdministeredRouter(RouterCore):
    """The part of a router that its owner administers it by. Every act is in the audit."""

    # -- arms -------------------------------------------------------------------------------------

    def put_arm(self, arm: Arm) -> None:
        """Add an arm while running, or change one; other workers load it within a second.

        A new arm is on or off as it says; an existing one stays as :meth:`enable_arm` left it.
        """
        check_arm(arm)
        with self._learner_transaction() as transaction:
            transaction.put_arm(arm)
            self._learner.add_arms(transaction, decode_state(transaction.snapshot()), [arm])

    def enable_arm(self, name: str, enabled: bool = True) -> None:
        """Switch an arm on or off; what was learned of it stays. Raises InvalidInput."""
        self.refresh()
        self.arm(name)
        self._store.enable_arm(name, enabled)
        self.refresh()
        if enabled and not self.arm(name).enabled:
            raise InvalidInput("arm", f"{name!r} is off or missing in the settings", "switch it on there")

    def rename_arm(self, old: str, new: str) -> None:
        """Let an arm have another name, and keep what was learned of it: the posterior is rebuilt.

        The log keeps the former name; `explain` shows it. Rename the arm in router.toml, too.
        Raises InvalidInput.
        """
        self.refresh()
        arm = self.arm(old)
        check_arm(replace(arm, name=new))
        if new == old:
            raise InvalidInput("new", f"is {new!r} already", "give another name")
        if self._is_baseline(old):
            fix = "name another one under [safety] first"
            raise InvalidInput("arm", f"{old!r} is the baseline of a policy", fix)
        self._learner.rename(old, new)
        self.refresh()

    def _is_baseline(self, arm: str) -> bool:
        return self._store.books_safety and self._store.safety_status().baseline == arm

    def reset_arm(self, name: str) -> None:
        """Forget what was learned of an arm whose model changed under its name. Others follow in a second.

        Feedback on its decisions before now is still logged, and not learned from. Raises InvalidInput.
        """
        self.refresh()
        self.arm(name)
        self._learner.reset(name, *self._store.clock.stamp())
        self.refresh()

    def pin_traffic(self, arm: str, seconds: float) -> TrafficPin:
        """Have all traffic go to one arm for a while; other workers follow within a second.

        Callers' overrides, workflows and conversations give way. A request that the arm cannot take is
        decided as ever. Raises InvalidInput.
        """
        self.refresh()
        if not self.arm(arm).enabled:
            raise InvalidInput("arm", f"{arm!r} is off", "switch it on, or pin another one")
        read_number("for", seconds, least=1.0, most=LONGEST_PIN_S)
        pin = self._store.pin_traffic(arm, seconds)
        self.refresh()
        return pin

    def unpin_traffic(self) -> TrafficPin | None:
        """End the pin of all traffic; which one, None if there was none."""
        pin = self._store.unpin_traffic()
        self.refresh()
        return pin

    # -- the rollout ------------------------------------------------------------------------------

    def advance_rollout(self, share: float | None = None, *, why: str = "asked for") -> RolloutStage:
        """Give the candidate this share of traffic, or that of the next step; others follow in a second.

        Raises InvalidInput.
        """
        rollout = self.require_rollout()
        if share is None:
            share = rollout.section.find_next_step(rollout.stage.share)
            if share is None:
                at = f"{rollout.stage.share:.4g}"
                raise InvalidInput("share", f"is {at} already", "name another one, or give it more steps")
        return self._change_rollout(read_number("share", share, most=1.0), why, aborted=False)

    def abort_rollout(self, *, why: str = "asked for") -> RolloutStage:
        """Give all traffic back to the incumbent; others follow within a second. Raises InvalidInput."""
        self.require_rollout()
        return self._change_rollout(0.0, why, aborted=True)

    def require_rollout(self) -> ActiveRollout:
        """The rollout at its newest stage. Raises InvalidInput without one."""
        self.refresh()
        if self._rollout is None:
            raise missing_rollout_error()
        return self._rollout

    def _change_rollout(self, share: float, why: str, *, aborted: bool) -> RolloutStage:
        stage = self._store.change_rollout(share, why=why, aborted=aborted)
        if stage is None:
            raise InvalidInput("rollout", "has ended", "restart with the settings in force")
        self.refresh()
        return stage

    # -- users ------------------------------------------------------------------------------------

    def forget_user(self, user: str) -> int:
        """Delete what is of a user from the database, and what was learned of it; how many decisions.

        ``user`` is the id that callers name, or its hash as `explain` shows it. Decisions go with all that
        hangs on them, and with those of their chains that name no user. The posterior is rebuilt without
        them, other workers load it within a second. Sums of money that was spent stay. What nothing is
        known of is 0, and no error. Raises InvalidInput, or DatabaseBusy: then do it again.
        """
        check_text("user", check_string("user", user), USER_CHARS)
        self._follow_settings(self._store.head())
        deleted = self._learner.forget_user({user, hash_user(self._user_secret, user)})
        self._store.compact()
        self.refresh()
        return deleted

    # -- tasks ------------------------------------------------------------------------------------

    def tasks(self) -> list[Task]:
        """The tasks that are learned apart, in the order of their first appearance. Raises StoreError."""
        return self._store.tasks()

    def rename_task(self, old: str, new: str) -> None:
        """Let a task have another name; its number, and what was learned of it, stay. Raises InvalidInput.

        A prompt that named it goes on to do so.
        """
        self._store.rename_task(old, read_task("new", new))
        self.refresh()

    # -- keys -------------------------------------------------------------------------------------

    def create_key(self, request: KeyRequest) -> NewSecret:
        """A new API key and its credential, which is kept nowhere. A service asks for keys within seconds.

        Raises InvalidInput.
        """
        self.refresh()
        for arm in request.arms or ():
            self.arm(arm)
        return self._store.create_key(request)

    def quarantine_key(self, key_id: str) -> None:
        """Let what an API key said and will say count for nothing; the posterior is rebuilt without it.

        The log keeps it, and the key goes on to route. Raises InvalidInput or UnknownKey.
        """
        self._follow_settings(self._store.head())
        self._learner.quarantine_key(key_id)
        self.refresh()

    def release_key(self, key_id: str) -> None:
        """End the quarantine of an API key, and learn from its feedback again. Raises the same."""
        self._follow_settings(self._store.head())
        self._learner.release_key(key_id)
        self.refresh()

    def find_key(self, key_id: str) -> ApiKey | None:
        """The API key of that id, valid or not; None if there is none."""
        return self._store.find_key(key_id)

    def has_keys(self) -> bool:
        """Whether the router ever had an API key, so that every request needs one."""
        return self._store.has_keys()

    # -- sessions of the dashboard ----------------------------------------------------------------

    def begin_session(self, credential: Credential) -> str:
        """Let a browser in by a token instead of this credential; the token, which is kept nowhere."""
        return self._store.begin_session(credential)

    def find_session(self, token_hash: str) -> Session | None:
        """The session of a token, expired or not; None if there is none."""
        return self._store.find_session(token_hash)

    def end_session(self, token_hash: str) -> None:
        """End a session on all workers, within seconds; nothing if there is none."""
        self._store.end_session(token_hash)

    # -- calls of the router's own ----------------------------------------------------------------

    def begin_own_call(self, plan: OwnCallPlan, budget: OwnBudget | None = None) -> str:
        """The id of a call of the router's own, which may be sent now. Raises OwnBudgetSpent."""
        return self._store.begin_own_call(plan, budget)

    def end_own_call(self, call_id: str, result: CallResult) -> bool:
        """End a call of the router's own; whether this is its first end. Any other changes nothing."""
        return self._store.end_own_call(call_id, result)

    def lose_own_calls(self, run: str | None = None) -> int:
        """End as lost its own calls that should have ended, or all of a run that goes on; how many."""
        return self._store.lose_own_calls(run)

    def own_calls(self, run: str) -> list[OwnCall]:
        """The router's own calls of a run, oldest first."""
        return self._store.own_calls(run)

    def own_costs(self, since: int = 0) -> list[OwnCost]:
        """What its own calls cost by purpose and day, from this day since 1970 (UTC) on."""
        return self._store.own_costs(since)
