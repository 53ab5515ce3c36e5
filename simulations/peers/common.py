"""Helpers that every peer needs: an optional import, and an integer seed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import numpy as np

from bandit_router.errors import ConfigError


def load(module: str) -> ModuleType:
    """Import a peer's module. ConfigError says how to install it."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        library = module.partition(".")[0]
        raise ConfigError(f"{library} is missing: pip install 'bandit-router[simulations]'") from None


def draw_seed(rng: np.random.Generator) -> int:
    """An integer seed, for libraries that take no generator."""
    return int(rng.integers(2**31))
