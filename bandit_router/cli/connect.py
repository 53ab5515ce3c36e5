"""How commands open the router or the database that a settings file names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bandit_router.router import Router
from bandit_router.settings import Settings, load_settings
from bandit_router.store.clock import Clock
from bandit_router.store.store import Store
from bandit_router.store.timeouts import Timeouts


@contextmanager
def open_quiet_router(config: Path) -> Iterator[Router]:
    """The router of a settings file, as it is: no settings are applied, and nothing is learned meanwhile."""
    settings: Settings = load_settings(config)
    learner = settings.learner.model_copy(update={"interval_s": 3600.0})
    with Router.open(settings.model_copy(update={"learner": learner}), apply="never") as router:
        yield router


@contextmanager
def open_existing_store(config: Path) -> Iterator[Store]:
    """The database of a settings file, as it is: nothing is created, and no edited goal begins anew."""
    settings = load_settings(config)
    clock, timeouts = Clock(settings.store.clock_tolerance_s), Timeouts.of(settings.store)
    url, name = settings.store.url, settings.router.name
    with closing(Store.open(url, name, create=False, clock=clock, timeouts=timeouts)) as store:
        yield store
