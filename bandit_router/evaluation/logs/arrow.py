"""pyarrow, which only evaluation needs: importing this says how to get it."""

from __future__ import annotations

from bandit_router.errors import ConfigError

try:
    import pyarrow as pa
    from pyarrow import compute, parquet
except ModuleNotFoundError:
    raise ConfigError("reading and writing Parquet needs: pip install 'bandit-router[evaluation]'") from None

__all__ = ["compute", "pa", "parquet"]
