"""Policies by name: made from parameters, or parsed from a spec."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.policies import registered
from bandit_router.policies.base import Policy
from bandit_router.policies.heard import Heard
from bandit_router.policies.rollout import Rollout
from bandit_router.policies.safe import Safe
from bandit_router.policies.spec import parse_parameters, split_outside_brackets
from bandit_router.policies.tier import Tiers
from bandit_router.policies.trial import Trial
from bandit_router.validation import convert_to_float

POLICIES: Mapping[str, Callable[..., Policy]] = {
    policy.name: policy
    for policy in vars(registered).values()
    if isinstance(policy, type) and issubclass(policy, Policy)
}
"""Every registered policy, by its name."""

_TRIAL = re.compile(
    r"trial:share=(?P<share>[0-9.e+-]+),rewards=(?P<rewards>[0-9]+)(?:,beside=(?P<beside>[0-9]+))?"
)
_ROLLOUT = re.compile(r"rollout:share=(?P<share>[0-9.e+-]+),incumbent=\[(?P<incumbent>.*)\]")
_SAFE = re.compile(r"safe:baseline=(?P<baseline>[^,=|]+)")
_HEARD = re.compile(r"heard:epsilon=(?P<epsilon>[0-9.e+-]+)")


def make_policy(name: str, parameters: Mapping[str, object]) -> Policy:
    """The named policy with these parameters; numbers may be text, as in environment variables.

    Raises ConfigError, which names the parameter and what is allowed.
    """
    if name not in POLICIES:
        raise ConfigError(f"policy.name: no policy {name!r}; use one of {', '.join(POLICIES)}")
    accepted = _list_parameters(name)
    typed: dict[str, Any] = {}
    for key, value in parameters.items():
        if key not in accepted:
            allowed = ", ".join(accepted) or "no parameter"
            raise ConfigError(f"policy.{key}: {name} has no such parameter; it takes {allowed}")
        typed[key] = _PARAMETER_READERS[str(accepted[key].type)](key, value)
    missing = [k for k, f in accepted.items() if f.default is MISSING and k not in parameters]
    if missing:
        raise ConfigError(f"policy.{missing[0]}: {name} needs it")
    try:
        return POLICIES[name](**typed)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def parse_policy(spec: str) -> Policy:
    """Read ``name``, ``name:key=value,key=value`` or ``fixed:arm``, as ``Policy.spec`` writes it.

    A policy inside another is written in brackets: ``tier:premium=large,else=[thompson:v=0.5]``. The prefix
    ``trial:share=0.25,rewards=10,beside=100|`` makes a :class:`Trial` of the policy behind it, and
    ``heard:epsilon=0.001|`` a :class:`Heard`, and ``safe:baseline=large|`` a :class:`Safe`;
    ``rollout:share=0.05,incumbent=[fixed:large]|`` makes a :class:`Rollout` whose candidate is the policy
    behind it.
    """
    name, _, rest = spec.partition(":")
    if name == "rollout":
        return _parse_rollout(spec)
    if name == "trial":
        return _parse_trial(spec)
    if name == "heard":
        return _parse_heard(spec)
    if name == "safe":
        return _parse_safe(spec)
    if name == "tier":
        return make_policy(name, {"tiers": rest})
    return make_policy(name, parse_parameters(spec, rest, unnamed="arm" if name == "fixed" else ""))


def _parse_trial(spec: str) -> Trial:
    own, bar, inner = spec.partition("|")
    match = _TRIAL.fullmatch(own)
    if match is None or not bar:
        raise ConfigError(f"policy {spec!r}: write trial:share=0.25,rewards=10,beside=100|POLICY")
    try:
        numbers = float(match["share"]), int(match["rewards"]), int(match["beside"] or 0)
        return Trial(parse_policy(inner), *numbers)
    except ValueError as error:
        raise ConfigError(f"policy {spec!r}: {error}") from error


def _parse_rollout(spec: str) -> Rollout:
    own, *inner = split_outside_brackets(spec, spec, "|")
    match = _ROLLOUT.fullmatch(own)
    if match is None or not inner:
        raise ConfigError(f"policy {spec!r}: write rollout:share=0.05,incumbent=[fixed:large]|POLICY")
    try:
        share = float(match["share"])
        return Rollout(parse_policy(match["incumbent"]), parse_policy("|".join(inner)), share)
    except ValueError as error:
        raise ConfigError(f"policy {spec!r}: {error}") from error


def _parse_heard(spec: str) -> Heard:
    own, bar, inner = spec.partition("|")
    match = _HEARD.fullmatch(own)
    if match is None or not bar:
        raise ConfigError(f"policy {spec!r}: write heard:epsilon=0.001|POLICY")
    try:
        return Heard(parse_policy(inner), float(match["epsilon"]))
    except ValueError as error:
        raise ConfigError(f"policy {spec!r}: {error}") from error


def _parse_safe(spec: str) -> Safe:
    own, bar, inner = spec.partition("|")
    match = _SAFE.fullmatch(own)
    if match is None or not bar:
        raise ConfigError(f"policy {spec!r}: write safe:baseline=large|POLICY")
    return Safe(parse_policy(inner), match["baseline"])


def check_named_arms(policies: Mapping[str, Policy], arms: Sequence[str]) -> None:
    """Raise InvalidInput for a policy that names an unknown arm, since it would play another one instead."""
    for name, policy in policies.items():
        if unknown := [arm for arm in policy.arms if arm not in arms]:
            allowed = ", ".join(arms)
            if unknown[0] in POLICIES:
                allowed += f"; the policy of that name is written [{unknown[0]}]"
            raise InvalidInput(f"policy {name}", f"{unknown[0]!r} is not an arm", f"use one of {allowed}")


def _list_parameters(name: str) -> dict[str, Field[Any]]:
    return {f.name: f for f in fields(POLICIES[name])}  # type: ignore[arg-type]


def _read_tiers(key: str, value: object) -> Tiers:
    if isinstance(value, str):
        value = parse_parameters(f"tier:{value}", value)
    if not isinstance(value, Mapping):
        raise ConfigError(f"policy.{key}: {value!r:.80} is not a table; write [policy.{key}]")
    return {tier: read_arm_or_policy(f"{key}.{tier}", target) for tier, target in value.items()}


def read_arm_or_policy(key: str, value: object) -> str | Policy:
    """The name of an arm, or the policy whose spec stands in brackets. Raises ConfigError."""
    text = _read_text(key, value)
    return parse_policy(text[1:-1]) if text[:1] + text[-1:] == "[]" else text


def _read_number(key: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, str) else convert_to_float(value)
    except ValueError:
        number = None
    if number is not None:
        return number
    raise ConfigError(f"policy.{key}: {value!r:.80} is not a number")


def _read_text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"policy.{key}: {value!r:.80} is not text")
    return value


_PARAMETER_READERS: Mapping[str, Callable[[str, object], object]] = {
    "float": _read_number,
    "str": _read_text,
    "Tiers": _read_tiers,
}
"""The reader of a parameter, by the type of its field."""
