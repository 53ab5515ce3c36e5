"""What the modules of a package define."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any


def values_in(package: ModuleType) -> list[Any]:
    """Every value at the top of every module of the package."""
    names = [module.name for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
    return [value for name in names for value in vars(import_module(name)).values()]
