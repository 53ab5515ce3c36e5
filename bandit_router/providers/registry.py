"""Every provider, and what an arm makes of it. A new one is a file and a line in PROVIDERS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bandit_router.errors import ConfigError
from bandit_router.providers import anthropic, openai, scripted
from bandit_router.providers.base import Provider
from bandit_router.settings.arms import ArmSection
from bandit_router.types import DialectName

Dialects = tuple[DialectName, ...]


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """A kind of provider: the dialects that its arms speak unless they say otherwise, and how to open one.

    ``translations`` are dialects that its arms take in translation, each into one that they speak.
    """

    dialects: Dialects
    open: Callable[[ArmSection, Dialects], Provider]
    translations: Mapping[DialectName, DialectName] = field(default_factory=dict)


PROVIDERS: Mapping[str, ProviderKind] = {
    "openai": ProviderKind(tuple(openai.URLS), openai.open_openai),
    "anthropic": ProviderKind(
        tuple(anthropic.URLS), anthropic.open_anthropic, {DialectName.CHAT: DialectName.MESSAGES}
    ),
    "scripted": ProviderKind(tuple(DialectName), scripted.open_scripted),
}

_NOT_YET = ("azure", "bedrock", "vertex")


def list_dialects(arm: ArmSection) -> Dialects:
    """The dialects whose requests an arm takes; none if the gateway cannot call its provider."""
    kind = PROVIDERS.get(arm.provider)
    if kind is None:
        return ()
    if arm.dialects is not None:
        return arm.dialects
    spoken = tuple(arm.base_url) if isinstance(arm.base_url, dict) else kind.dialects
    translated = [one for one, into in kind.translations.items() if into in spoken and one not in spoken]
    return (*spoken, *translated)


def find_translations(arm: ArmSection) -> Mapping[DialectName, DialectName]:
    """Those of its dialects that an arm takes in translation, and into which one.

    A table of base URLs that has the dialect says that the arm speaks it itself.
    """
    kind, bases = PROVIDERS[arm.provider], arm.base_url if isinstance(arm.base_url, dict) else {}
    dialects = list_dialects(arm)
    return {one: into for one, into in kind.translations.items() if one in dialects and one not in bases}


def open_provider(arm: ArmSection) -> Provider:
    """The client of an arm, which connects with its first call. Raises ConfigError."""
    kind = PROVIDERS.get(arm.provider)
    if kind is None:
        problem = "cannot be called yet" if arm.provider in _NOT_YET else "is not one the gateway can call"
        raise ConfigError(
            f"arm {arm.name!r}: provider {arm.provider!r} {problem}; the providers are "
            f"{', '.join(PROVIDERS)}; openai with a base_url calls any server that is compatible with it"
        )
    translations = find_translations(arm)
    return kind.open(arm, tuple(dict.fromkeys(translations.get(one, one) for one in list_dialects(arm))))


def describe_thin_dialects(arms: Sequence[ArmSection]) -> list[str]:
    """A warning for each dialect whose clients have fewer than two arms to be routed between."""
    warnings = []
    for dialect in DialectName:
        names = [arm.name for arm in arms if arm.enabled and dialect in list_dialects(arm)]
        if len(names) < 2:
            who = f"only arm {names[0]!r} speaks" if names else "no arm speaks"
            warnings.append(
                f"{who} the dialect {dialect}: its clients have no choice; add arms that speak it"
            )
    return warnings
