"""Loads full-information data, the outcome of every model on every query, from the formats it comes in."""

from bandit_router.evaluation.datasets.dataset import Dataset, concatenate
from bandit_router.evaluation.datasets.load import load_dataset
from bandit_router.evaluation.datasets.mixed import mixed_stream
from bandit_router.evaluation.datasets.paretobandit import load_paretobandit
from bandit_router.evaluation.datasets.prices import Price, load_prices
from bandit_router.evaluation.datasets.queries import load_queries
from bandit_router.evaluation.datasets.routellm import load_routellm
from bandit_router.evaluation.datasets.routerbench import load_routerbench
from bandit_router.evaluation.datasets.table import load_parquet, load_table

__all__ = [
    "Dataset",
    "Price",
    "concatenate",
    "load_dataset",
    "load_paretobandit",
    "load_parquet",
    "load_prices",
    "load_queries",
    "load_routellm",
    "load_routerbench",
    "load_table",
    "mixed_stream",
]
