"""obp's estimators without what obp imports and they do not need."""

from __future__ import annotations

import importlib
import sys
import warnings
from types import ModuleType
from typing import Any


def obp_estimators() -> Any:
    """The module ``obp.ope.estimators``; torch and pandas are stubs while it is imported.

    Raises ModuleNotFoundError when obp is not installed: ``pip install --no-deps obp==0.4.1``.
    """
    torch, pandas = ModuleType("torch"), ModuleType("pandas")
    torch.Tensor, pandas.DataFrame = type("Tensor", (), {}), object  # type: ignore[attr-defined]
    package = ModuleType("obp.ope")  # without its __init__, which imports plotting
    package.__path__ = [f"{path}/ope" for path in importlib.import_module("obp").__path__]
    stubs = {"torch": torch, "pandas": pandas, "obp.ope": package}
    before = {name: sys.modules.get(name) for name in stubs}
    sys.modules.update(stubs)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it predates the escapes Python warns of now
            return importlib.import_module("obp.ope.estimators")
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
