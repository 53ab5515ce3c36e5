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
    arms_named,
    learns,
    reason_of,
    sample,
    signals_needed,
    signals_read,
)
from bandit_router.policies.trial import Trial

POLICIES: Mapping[str, Callable[..., Policy]] = {
    "tempered": Tempered,
    "thompson": Thompson,
    "linucb": LinUCB,
    "epsilon-greedy": EpsilonGreedy,
    "uniform": Uniform,
    "fixed": Fixed,
}

_TRIAL = re.compile(r"trial:share=(?P<share>[0-9.e+-]+),rewards=(?P<rewards>[0-9]+)")

__all__ = [
    "POLICIES",
    "Policy",
    "Trial",
    "arms_named",
    "check_arms",
    "learns",
    "make_policy",
    "parse_policy",
    "put_on_trial",
    "reason_of",
    "sample",
    "signals_needed",
    "signals_read",
]


def make_policy(name: str, parameters: Mapping[str, float | str]) -> Policy:
    """The named policy with these parameters. ConfigError names what is wrong and what is allowed.

    A number may be given as text, as the environment does.
    """
    if name not in POLICIES:
        raise ConfigError(f"policy.name: no policy {name!r}; use one of {', '.join(POLICIES)}")
    known = _parameters(name)
    typed: dict[str, float | str] = {}
    for key, value in parameters.items():
        if key not in known:
            allowed = ", ".join(known) or "no parameter"
            raise ConfigError(f"policy.{key}: {name} has no such parameter; it takes {allowed}")
        typed[key] = _text(key, value) if known[key].type == "str" else _number(key, value)
    missing = [k for k, f in known.items() if f.default is MISSING and k not in parameters]
    if missing:
        raise ConfigError(f"policy.{missing[0]}: {name} needs it")
    try:
        return POLICIES[name](**typed)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def parse_policy(spec: str) -> Policy:
    """Read ``name``, ``name:key=value,key=value`` or ``fixed:arm``, as ``Policy.spec`` writes it.

    ``trial:share=0.25,rewards=30|`` before it is a :class:`Trial` of what follows.
    """
    name, _, rest = spec.partition(":")
    if name == "trial":
        return _parse_trial(spec)
    parameters: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, text = part.rpartition("=")
        if not equals and name == "fixed":
            key = "arm"
        elif not equals:
            raise ConfigError(f"policy {spec!r}: {part!r} is not key=value")
        if key in parameters:
            raise ConfigError(f"policy {spec!r}: {key} is given twice; give it once")
        parameters[key] = text
    return make_policy(name, parameters)


def _parse_trial(spec: str) -> Trial:
    own, bar, inner = spec.partition("|")
    written = _TRIAL.fullmatch(own)
    if written is None or not bar:
        raise ConfigError(f"policy {spec!r}: write trial:share=0.25,rewards=30|POLICY")
    try:
        return Trial(parse_policy(inner), float(written["share"]), int(written["rewards"]))
    except ValueError as error:
        raise ConfigError(f"policy {spec!r}: {error}") from error


def put_on_trial(policy: Policy, share: float, rewards: int) -> Policy:
    """The policy with a share of traffic for new arms; one that never learns, or has it, is left as it is."""
    as_it_is = isinstance(policy, Fixed | Uniform | Trial) or rewards == 0
    return policy if as_it_is else Trial(policy, share, rewards)


def check_arms(policies: Mapping[str, Policy], arms: Sequence[str]) -> None:
    """InvalidInput for a policy that names an arm which is not there: it would play something else."""
    for name, policy in policies.items():
        if unknown := [arm for arm in arms_named(policy) if arm not in arms]:
            known = ", ".join(arms)
            raise InvalidInput(f"policy {name}", f"{unknown[0]!r} is not an arm", f"use one of {known}")


def _parameters(name: str) -> dict[str, Field[Any]]:
    return {f.name: f for f in fields(POLICIES[name])}  # type: ignore[arg-type]


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
