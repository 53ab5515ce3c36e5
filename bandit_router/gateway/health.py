"""The health of arms: a circuit breaker for each, in this process.

An arm is closed (called) until half of its newest calls have failed, at least five; then it is open (cooling)
for a while that doubles from failure to failure. When that is over it is half open: one call is let through,
whose success closes the breaker and whose failure opens it again (Nygard, Release It!, 2007).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

NEWEST = 20
LEAST_FAILURES = 5
FAILURE_RATE = 0.5
FIRST_COOLING_S = 1.0
LONGEST_COOLING_S = 60.0

COOLING = "cooling: "
"""How the reason of an arm that is excluded for its health begins."""


@dataclass(slots=True)
class _Breaker:
    failed: deque[bool] = field(default_factory=lambda: deque(maxlen=NEWEST))
    cooling_s: float = FIRST_COOLING_S
    open_until: float | None = None  # None: closed
    probing: bool = False
    why: str = ""


class Health:
    """The breakers of all arms. ``clock`` returns seconds that only grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._breakers: dict[str, _Breaker] = {}

    def find_cooling(self) -> dict[str, str]:
        """The arms that are not to be called now, and why."""
        return {
            arm: f"{COOLING}{breaker.why}"
            for arm, breaker in self._breakers.items()
            if self._is_open(breaker)
        }

    def retry_after_s(self) -> float:
        """Seconds until the first arm that cools may be called again; 0 if none cools."""
        waits = [b.open_until - self._clock() for b in self._breakers.values() if b.open_until is not None]
        return max(0.0, min(waits, default=0.0))

    def begin(self, arm: str) -> None:
        """A call of the arm begins; of an arm half open it is the probe."""
        breaker = self._of(arm)
        breaker.probing = breaker.open_until is not None

    def succeed(self, arm: str) -> None:
        """A call of the arm was answered."""
        breaker = self._of(arm)
        if breaker.open_until is not None:
            self._breakers[arm] = breaker = _Breaker()
        breaker.failed.append(False)

    def fail(self, arm: str, why: str, cool_s: float | None = None) -> None:
        """A call of the arm failed; ``cool_s`` opens the breaker at once, for at least so long."""
        breaker = self._of(arm)
        breaker.failed.append(True)
        failures = sum(breaker.failed)
        tripped = failures >= LEAST_FAILURES and failures >= FAILURE_RATE * len(breaker.failed)
        if cool_s is not None or breaker.open_until is not None or tripped:
            until = self._clock() + max(breaker.cooling_s, cool_s or 0.0)
            breaker.open_until = max(until, breaker.open_until or until)
            breaker.cooling_s = min(LONGEST_COOLING_S, 2.0 * breaker.cooling_s)
            breaker.why = why
        breaker.probing = False

    def leave(self, arm: str) -> None:
        """A call of the arm ended without saying anything of it: the client left, or erred."""
        self._of(arm).probing = False

    def _of(self, arm: str) -> _Breaker:
        return self._breakers.setdefault(arm, _Breaker())

    def _is_open(self, breaker: _Breaker) -> bool:
        return breaker.open_until is not None and (breaker.probing or self._clock() < breaker.open_until)
