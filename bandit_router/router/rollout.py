"""The rollout of a router: its policy at each stage, and which branch the unit of a request is in."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace

from bandit_router.errors import InvalidInput
from bandit_router.policies import Policy, Rollout, read_arm_or_policy
from bandit_router.policies.bandit import Fixed
from bandit_router.policies.caller import Caller
from bandit_router.policies.rollout import BRANCH, PERIOD, STAGE, pick_branch
from bandit_router.routing.decide import Request
from bandit_router.settings.rollout import RolloutSection, RolloutUnit
from bandit_router.types import INCUMBENT, RolloutStage, Signals


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """A rollout as the settings have it: its policy has the share that it begins with."""

    section: RolloutSection
    policy: Rollout

    def at(self, stage: RolloutStage) -> ActiveRollout:
        """The rollout at a stage."""
        mixture = Rollout(self.policy.incumbent, self.policy.candidate, stage.share)
        return ActiveRollout(self.section, stage, mixture)


@dataclass(frozen=True, slots=True)
class ActiveRollout:
    """A rollout at the stage under way, and the policy of that stage."""

    section: RolloutSection
    stage: RolloutStage
    policy: Rollout


def make_rollout_plan(section: RolloutSection, candidate: Policy) -> RolloutPlan | None:
    """The rollout of the settings to this candidate; None without one. Raises ConfigError."""
    incumbent = read_incumbent(section)
    if incumbent is None:
        return None
    return RolloutPlan(section, Rollout(incumbent, candidate, section.share))


def read_incumbent(section: RolloutSection) -> Policy | None:
    """The policy that decides today; None without a rollout. Raises ConfigError."""
    if section.incumbent is None:
        return None
    incumbent = read_arm_or_policy("incumbent", section.incumbent)
    return Fixed(incumbent) if isinstance(incumbent, str) else incumbent


def join_rollout(request: Request, rollout: ActiveRollout, now: float, secret: str) -> Request:
    """The request as one of the stage under way, at ``now``, Unix time, seconds.

    After an abort, conversations begin anew: the candidate may have chosen their arms. In shadow mode the
    arm that the caller names comes before the one that its conversation keeps.
    """
    stage, since = rollout.stage, request.since
    if since is not None and stage.aborted:
        since = max(since, stage.since)
    if stage.share == 0.0 and INCUMBENT in request.signals and isinstance(rollout.policy.incumbent, Caller):
        since = None
    drawn = _draw_branch(request, rollout.section, stage, now, secret)
    return replace(request, policy=rollout.policy, drawn=drawn, since=since)


def _draw_branch(
    request: Request, section: RolloutSection, stage: RolloutStage, now: float, secret: str
) -> Signals:
    """The signals of the stage, and of the branch if the unit of the request has one."""
    drawn: dict[str, float | str] = {STAGE: float(stage.id)}
    unit = {RolloutUnit.USER: request.user, RolloutUnit.CONVERSATION: request.conversation}.get(section.unit)
    if unit is None:
        return drawn
    period = max(0, int((now - stage.since) // section.period_s))
    u = hash_unit(secret, stage.id, period, unit)
    return {**drawn, PERIOD: float(period), BRANCH: pick_branch(u, stage.share).value}


def missing_rollout_error() -> InvalidInput:
    """The error where there is no rollout."""
    return InvalidInput("rollout", "is not set up", "name the incumbent under [rollout] in the settings")


def hash_unit(secret: str, stage: int, period: int, unit: str) -> float:
    """A number in [0, 1) that looks uniform, and is drawn anew for each stage, period and unit."""
    digest = hmac.digest(secret.encode(), f"{stage}/{period}/{unit}".encode(), hashlib.sha256)
    return int.from_bytes(digest[:6]) / 2**48
