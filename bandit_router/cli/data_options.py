"""The options of every command that loads labelled data, as one group; one that an error advises is here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from bandit_router.cli.option_values import parse_columns, parse_scale
from bandit_router.cli.options import ColumnsOption, MissingOption, ScaleOption, SkipBadOption

if TYPE_CHECKING:
    from bandit_router.evaluation.datasets import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class DataOptions:
    """How to read a file of labelled data; the fields are the options of the command line."""

    columns: ColumnsOption = None
    scale: ScaleOption = None
    models: Annotated[
        str | None, typer.Option(help="Models to choose from, separated by commas; all by default.")
    ] = None
    prices: Annotated[
        Path | None, typer.Option(help="A file of list prices, for data that records no costs.")
    ] = None
    skip_bad: SkipBadOption = False

    allow_missing: MissingOption = False

    def load(self, data: str, *, need_costs: bool = True) -> Dataset:
        """The data with these options. Without ``need_costs``, costs that are not recorded are NaN."""
        from bandit_router.evaluation.datasets import load_dataset, load_prices

        return load_dataset(
            data,
            columns=parse_columns(self.columns),
            scale=parse_scale(self.scale),
            models=[name.strip() for name in self.models.split(",")] if self.models else None,
            prices=None if self.prices is None else load_prices(self.prices),
            skip_bad=self.skip_bad,
            need_costs=need_costs,
            allow_missing=self.allow_missing,
        )


NO_DATA_OPTIONS = DataOptions()


def with_data_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field of its parameter ``loading``, a :class:`DataOptions`."""
    signature = inspect.signature(command, eval_str=True)
    hints = get_type_hints(DataOptions, include_extras=True)
    options = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields(DataOptions)
    ]
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        kept = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += options if parameter.annotation is DataOptions else [kept]

    def run(**values: Any) -> None:
        loading = DataOptions(**{f.name: values.pop(f.name) for f in fields(DataOptions)})
        command(**values, loading=loading)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
