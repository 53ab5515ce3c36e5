"""The nouns of a campaign: where a round runs, the rounds and controls there are, and what came of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.durability.checks import Findings, compare_with_log
from tests.durability.helpers import Acknowledgements, Told, write_config

SQLITE, POSTGRESQL = "sqlite", "postgresql"


@dataclass(frozen=True, slots=True)
class Site:
    """A database with its router's settings, and all that the callers of its rounds were told."""

    config: Path
    url: str
    told: Acknowledgements

    @property
    def folder(self) -> Path:
        return self.config.parent


def make_site(folder: Path, url: str) -> Site:
    """A site of a router that folds a hundred times a second."""
    return Site(write_config(folder, url, interval_s=0.01), url, Acknowledgements(folder / "told"))


MakeSite = Callable[[Path, str], Site]
Compare = Callable[[Path, Told], Findings]


@dataclass(frozen=True, slots=True)
class Round:
    """One kind of fault on one kind of database. ``run`` raises AssertionError when anybody misbehaves.

    Whatever ``run`` leaves in the site's database is compared with what callers were told afterwards.
    """

    kind: str
    backend: str
    run: Callable[[Site, random.Random], None]


@dataclass(frozen=True, slots=True)
class Control:
    """A deliberately broken part, which the comparison must find to lose or to double something."""

    name: str
    backend: str
    run: Callable[[Site], None]
    is_found: Callable[[Findings], bool]


@dataclass(frozen=True, slots=True)
class Campaign:
    """Rounds to run in turn until time is up, each at least once, and the controls that go before them.

    ``make_site`` makes a site in a folder, on the database of a URL. ``compare`` compares its log, by the
    settings at a path, with what its callers were told.
    """

    name: str
    rounds: tuple[Round, ...]
    controls: tuple[Control, ...]
    make_site: MakeSite = make_site
    compare: Compare = compare_with_log


@dataclass(kw_only=True, slots=True)
class Tally:
    """The sums over the rounds of one kind."""

    rounds: int = 0
    decisions: int = 0
    feedback: int = 0
    refusals: int = 0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.lost or self.doubled or self.problems)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a campaign: a tally by kind, and whether each control was found."""

    name: str
    tallies: dict[str, Tally]
    controls: dict[str, bool]

    @property
    def ok(self) -> bool:
        return all(tally.ok for tally in self.tallies.values()) and all(self.controls.values())
