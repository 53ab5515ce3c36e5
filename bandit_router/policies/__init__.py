"""The registry of policies: a new one is one file and one line here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.policies.bandit import EpsilonGreedy, Fixed, LinUCB, Tempered, Thompson, Uniform
from bandit_router.policies.base import (
    Policy,
    list_computed_signals,
    sample,
    select_arms,
)
from bandit_router.policies.cascade import CheapFirst
from bandit_router.policies.classifier import ClassifierPolicy
from bandit_router.policies.heuristic import Heuristic
from bandit_router.policies.spec import parse_parameters
from bandit_router.policies.tier import Tier, Tiers
from bandit_router.policies.trial import Trial

POLICIES: Mapping[str, Callable[..., Policy]] = {
    "tempered": Tempered,
    "thompson": Thompson,
    "linucb": LinUCB,
    "epsilon-greedy": EpsilonGreedy,
    "uniform": Uniform,
    "fixed": Fixed,
    "heuristic": Heuristic,
    "tier": Tier,
    "classifier": ClassifierPolicy,
    "cascade": CheapFirst,
}

_TRIAL = re.compile(
    r"trial:share=(?P<share>[0-9.e+-]+),rewards=(?P<rewards>[0-9]+)(?:,beside=(?P<beside>[0-9]+))?"
)

__all__ = [
    "POLICIES",
    "Policy",
    "Trial",
    "check_named_arms",
    "list_computed_signals",
    "make_policy",
    "parse_policy",
    "reserve_trial_share",
    "sample",
    "select_arms",
]


def make_policy(name: str, parameters: Mapping[str, object]) -> Policy:
    """The named policy with these parameters. ConfigError names what is wrong and what is allowed.

    A number may be given as text, as the environment does.
    """
    if name not in POLICIES:
        raise ConfigError(f"policy.name: no policy {name!r}; use one of {', '.join(POLICIES)}")
    known = _parameters(name)
    typed: dict[str, Any] = {}
    for key, value in parameters.items():
        if key not in known:
            allowed = ", ".join(known) or "no parameter"
            raise ConfigError(f"policy.{key}: {name} has no such parameter; it takes {allowed}")
        typed[key] = _READERS[str(known[key].type)](key, value)
    missing = [k for k, f in known.items() if f.default is MISSING and k not in parameters]
    if missing:
        raise ConfigError(f"policy.{missing[0]}: {name} needs it")
    try:
        return POLICIES[name](**typed)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def parse_policy(spec: str) -> Policy:
    """Read ``name``, ``name:key=value,key=value`` or ``fixed:arm``, as ``Policy.spec`` writes it.

    A policy inside another stands in brackets: ``tier:premium=large,else=[thompson:v=0.5]``; and
    ``trial:share=0.25,rewards=10,beside=100|`` before one is a :class:`Trial` of it.
    """
    name, _, rest = spec.partition(":")
    if name == "trial":
        return _parse_trial(spec)
    if name == "tier":
        return make_policy(name, {"tiers": rest})
    return make_policy(name, parse_parameters(spec, rest, unnamed="arm" if name == "fixed" else ""))


def _parse_trial(spec: str) -> Trial:
    own, bar, inner = spec.partition("|")
    written = _TRIAL.fullmatch(own)
    if written is None or not bar:
        raise ConfigError(f"policy {spec!r}: write trial:share=0.25,rewards=10,beside=100|POLICY")
    try:
        numbers = float(written["share"]), int(written["rewards"]), int(written["beside"] or 0)
        return Trial(parse_policy(inner), *numbers)
    except ValueError as error:
        raise ConfigError(f"policy {spec!r}: {error}") from error


def reserve_trial_share(policy: Policy, share: float, rewards: int, beside: int = 0) -> Policy:
    """The policy with a share of traffic for new arms; one that never learns, or has it, is left as it is."""
    if isinstance(policy, Tier):
        tried = {
            k: v if isinstance(v, str) else reserve_trial_share(v, share, rewards, beside)
            for k, v in policy.tiers.items()
        }
        return Tier(tried)
    as_it_is = not policy.learns or isinstance(policy, Trial) or rewards == 0
    return policy if as_it_is else Trial(policy, share, rewards, beside)


def check_named_arms(policies: Mapping[str, Policy], arms: Sequence[str]) -> None:
    """InvalidInput for a policy that names an arm which is not there: it would play something else."""
    for name, policy in policies.items():
        if unknown := [arm for arm in policy.names if arm not in arms]:
            known = ", ".join(arms)
            if unknown[0] in POLICIES:
                known += f"; the policy of that name is written [{unknown[0]}]"
            raise InvalidInput(f"policy {name}", f"{unknown[0]!r} is not an arm", f"use one of {known}")


def _parameters(name: str) -> dict[str, Field[Any]]:
    return {f.name: f for f in fields(POLICIES[name])}  # type: ignore[arg-type]


def _tiers(key: str, value: object) -> Tiers:
    if isinstance(value, str):
        value = parse_parameters(f"tier:{value}", value)
    if not isinstance(value, Mapping):
        raise ConfigError(f"policy.{key}: {value!r:.80} is not a table; write [policy.{key}]")
    return {tier: _arm_or_policy(f"{key}.{tier}", target) for tier, target in value.items()}


def _arm_or_policy(key: str, value: object) -> str | Policy:
    text = _text(key, value)
    return parse_policy(text[1:-1]) if text[:1] + text[-1:] == "[]" else text


def _number(key: str, value: object) -> float:
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise ConfigError(f"policy.{key}: {value!r:.80} is not a number")


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"policy.{key}: {value!r:.80} is not text")
    return value


_READERS: Mapping[str, Callable[[str, object], object]] = {"float": _number, "str": _text, "Tiers": _tiers}
"""How a parameter is read, by the type its policy gives it."""
