"""The arms that the gateway can call: each with its provider, its adapters and its prices."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bandit_router.errors import ConfigError
from bandit_router.gateway.adapters import Adapter, make_adapters
from bandit_router.gateway.exchange import Exchange
from bandit_router.providers.base import Provider
from bandit_router.providers.registry import list_dialects, open_provider
from bandit_router.settings.arms import ArmSection
from bandit_router.settings.prices import Prices, price_usage
from bandit_router.types import Usage

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallableArm:
    """An arm of the settings, with an adapter for each dialect whose requests it takes.

    ``price`` returns the USD of a usage; ``unsupported`` are fields that it rejects, and
    ``max_output_tokens`` is the most that its answers have; they take ``timeout_s`` at most.
    """

    name: str
    model: str
    provider_name: str
    adapters: Mapping[str, Adapter]
    provider: Provider
    price: Callable[[Usage], float]
    max_output_tokens: int
    unsupported: frozenset[str] = frozenset()
    timeout_s: float = 600.0


class ArmPool:
    """The arms of the settings, opened with the first request: to import an SDK takes half a second."""

    def __init__(self, sections: Sequence[ArmSection]) -> None:
        self.arms: dict[str, CallableArm] = {}
        self._problems: dict[str, str] = {}
        self._sections = [section for section in sections if list_dialects(section)]
        self._opening: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Open all arms, once. One that cannot be opened, such as without its API key, is never called."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(asyncio.to_thread(self._open_all))
        await asyncio.shield(self._opening)

    async def close(self) -> None:
        """Close the connections of all arms."""
        for arm in self.arms.values():
            await arm.provider.aclose()

    def find_mask(self, known: Collection[str], exchange: Exchange) -> dict[str, str]:
        """The ``known`` arms that cannot take a request, and why."""
        reasons = {name: self._explain(name, exchange) for name in known}
        return {name: why for name, why in reasons.items() if why is not None}

    def _explain(self, name: str, exchange: Exchange) -> str | None:
        arm = self.arms.get(name)
        if arm is None:
            return self._problems.get(name, "no arm of router.toml with a provider that the gateway can call")
        adapter = arm.adapters.get(exchange.dialect.name)
        if adapter is None:
            return f"does not speak the dialect {exchange.dialect.name}"
        rejected = sorted(exchange.request.fields & arm.unsupported)
        if rejected:
            return f"does not take the field {', '.join(rejected)}"
        return adapter.find_obstacle(exchange)

    def _open_all(self) -> None:
        for section in self._sections:
            try:
                self.arms[section.name] = open_arm(section)
            except ConfigError as error:
                log.error("the gateway cannot call an arm until it is mended and restarted: %s", error)
                self._problems[section.name] = "cannot be called with its settings; the log says why"


def open_arm(section: ArmSection) -> CallableArm:
    """The arm with its client, which connects with its first call. Raises ConfigError."""
    return CallableArm(
        name=section.name,
        model=section.model or section.name,
        provider_name=section.provider,
        adapters=make_adapters(section),
        provider=open_provider(section),
        price=partial(_price_now, section.prices()),
        unsupported=frozenset(section.unsupported),
        max_output_tokens=section.max_output_tokens,
        timeout_s=section.total_timeout_s,
    )


def _price_now(prices: Prices, usage: Usage) -> float:
    return price_usage(prices, usage, time.time())
