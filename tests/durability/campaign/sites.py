"""Where rounds run: sites that are made as they are needed, and made anew when they have grown or failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

from tests.databases import administer, run_postgresql
from tests.durability.campaign.nouns import SQLITE, MakeSite, Site
from tests.migrated import migrate_url

_MOST_ANSWERS = 5_000
"""Every round verifies the whole log of its site, which takes longer and longer."""


class Sites:
    """The site of each kind of database in use. PostgreSQL starts when it is asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._server: str | None = None
        self._numbers = count()
        self._in_use: dict[tuple[str, MakeSite], Site] = {}

    def get(self, backend: str, make_site: MakeSite) -> Site:
        """The site in use, or a new one."""
        site = self._in_use.get((backend, make_site))
        if site is None or site.told.count() > _MOST_ANSWERS:
            site = self._in_use[backend, make_site] = self.make(backend, make_site)
        return site

    def retire(self, backend: str, make_site: MakeSite) -> None:
        """Use the site no more: what is wrong in it would be found again and again."""
        self._in_use.pop((backend, make_site), None)

    def make(self, backend: str, make_site: MakeSite) -> Site:
        """A site on a new database."""
        folder = self._folder / f"{next(self._numbers)}-{backend}"
        folder.mkdir()
        site = make_site(folder, migrate_url(self._make_database(backend, folder)))
        self._stack.enter_context(closing(site.told))
        return site

    def _make_database(self, backend: str, folder: Path) -> str:
        if backend == SQLITE:
            return f"sqlite:///{folder}/router.db"
        if self._server is None:
            self._server = self._stack.enter_context(run_postgresql())
        name = f"campaign_{uuid4().hex}"
        administer(self._server.format("postgres"), f"CREATE DATABASE {name}")
        return self._server.format(name)


@contextmanager
def make_sites(folder: Path) -> Iterator[Sites]:
    """Sites in the folder while the block lasts."""
    with ExitStack() as stack:
        yield Sites(folder, stack)
