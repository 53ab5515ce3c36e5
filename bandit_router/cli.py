"""The command line: parses, calls, prints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from bandit_router.config import CONFIG_VARIABLE, ENV_PREFIX, Settings, load_settings
from bandit_router.errors import RouterError
from bandit_router.reward import check_metric
from bandit_router.router import Router
from bandit_router.store.store import Store
from bandit_router.types import Arm, Decision
from bandit_router.verify import Report
from bandit_router.verify import verify as check

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
arms_app = typer.Typer(no_args_is_help=True, help="List arms, and add or switch them while workers run.")
app.add_typer(arms_app, name="arms")
out = Console()

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar=CONFIG_VARIABLE, help="The settings file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
_DEFAULT = Path("router.toml")


def main() -> None:
    """Run the command line; errors we know are one line on stderr and exit code 1."""
    try:
        with threadpool_limits(1, "blas"):  # its threads wait for each other for seconds on a busy machine
            app()
    except RouterError as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="red", markup=False)
        sys.exit(1)


@app.callback()
def about() -> None:
    """A learned LLM router: picks a model per query, logs why, learns from feedback."""


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to write the settings.")] = _DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented router.toml that works as it is."""
    if path.exists() and not force:
        raise RouterError(f"{path} is there already; use --force to replace it")
    try:
        path.write_text(template(), encoding="utf-8")
    except OSError as error:
        raise RouterError(f"{path} cannot be written: {error.strerror}") from error
    _say(f"wrote {path}; next: bandit-router serve")


def template() -> str:
    """The text of the settings file that `init` writes."""
    return (files("bandit_router") / "template.toml").read_text(encoding="utf-8")


@app.command()
def serve(
    config: ConfigOption = _DEFAULT,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Overrides server.port.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Overrides server.workers.")] = None,
) -> None:
    """Serve the HTTP API."""
    import uvicorn

    settings = load_settings(config)
    with Router.open(settings):  # a wrong setting or schema is one clear error here, not one per worker
        pass
    os.environ[CONFIG_VARIABLE] = str(config.resolve())
    uvicorn.run(
        "bandit_router.server.app:from_environment",
        factory=True,
        host=host or settings.server.host,
        port=settings.server.port if port is None else port,
        workers=workers or settings.server.workers,
        access_log=False,
        proxy_headers=False,  # nobody asks who the client is
    )


@app.command()
def route(
    query: Annotated[str, typer.Argument(help="The query to route.")],
    config: ConfigOption = _DEFAULT,
    user_tier: Annotated[str | None, typer.Option(help="Tier of the user.")] = None,
    cost_weight: Annotated[float | None, typer.Option(help="Reward per dollar saved, 1/USD.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Choose a model for one query and log the decision."""
    with Router.open(config) as router:
        decision = router.route(query, user_tier=user_tier, cost_weight=cost_weight)
        _print_decision(decision, router.arm(decision.arm), as_json)


def _print_decision(decision: Decision, arm: Arm, as_json: bool) -> None:
    pmf = dict(zip(decision.eligible, decision.pmf, strict=True))
    if as_json:
        _print_json(
            {
                "decision_id": decision.id,
                "arm": decision.arm,
                "provider": arm.provider,
                "model": arm.model,
                "propensity": decision.propensity,
                "pmf": pmf,
                "reason": decision.reason,
                "snapshot": decision.snapshot,
            }
        )
        return
    _say(f"{arm.name} ({arm.provider}/{arm.model})", style="bold")
    _say(f"decision {decision.id}, snapshot {decision.snapshot}, {decision.reason}")
    for name, p in pmf.items():
        _say(f"  {p:7.2%} {name}")


@app.command()
def feedback(
    decision_id: Annotated[str, typer.Argument(help="The id that `route` printed.")],
    metrics: Annotated[list[str], typer.Argument(help="quality=0.9 cost_usd=0.0004 …; quality= retracts.")],
    config: ConfigOption = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Say how a decision turned out."""
    values = _metrics(metrics)
    with Router.open(config) as router:
        outcomes = router.feedback(decision_id, **values)  # type: ignore[arg-type]
        router.learn()  # no service may be running that would
    if as_json:
        _print_json({"decision_id": decision_id, "outcomes": outcomes})
        return
    for metric, outcome in outcomes.items():
        _say(f"{metric}: {outcome}")


@app.command()
def migrate(config: ConfigOption = _DEFAULT) -> None:
    """Bring the database to the schema this version needs."""
    from bandit_router.store.engine import dispose, make_engine
    from bandit_router.store.schema import migrate as apply
    from bandit_router.store.tables import SCHEMA_VERSION

    engine = make_engine(load_settings(config).store.url)
    try:
        apply(engine)
    finally:
        dispose(engine)
    _say(f"the database is at {SCHEMA_VERSION}")


@app.command()
def verify(config: ConfigOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """Check every invariant: counts, rebuild = live, every logged PMF. Exits 1 when one fails."""
    settings = load_settings(config)
    with closing(Store.open(settings.store.url, settings.router.name)) as store:
        report = check(store)
    print_report(report, as_json)
    if not report.ok:
        raise typer.Exit(1)


def print_report(report: Report, as_json: bool = False) -> None:
    """Print what `verify` found; the last line is its verdict."""
    facts = {name: getattr(report, name) for name in report.__slots__}
    if as_json:
        _print_json(facts | {"ok": report.ok})
        return
    for name, value in facts.items():
        if name != "problems":
            _say(f"  {name.replace('_', ' ')}: {value}")
    for problem in report.problems:
        _say(f"  problem: {problem}", style="red")
    _say(f"verify: {'ok' if report.ok else 'FAILED'}", style="green" if report.ok else "red")


@app.command()
def rebuild(config: ConfigOption = _DEFAULT) -> None:
    """Rebuild the posterior from nothing but the log, and publish it."""
    with _quiet_router(config) as router:
        _say(f"rebuilt from {router.rebuild()} rewards: snapshot {router.snapshot}")


@app.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="A Parquet file: one row per query and model.")] = None,
    queries: Annotated[
        int | None, typer.Option(min=1, help="How many queries to send; all by default.")
    ] = None,
    cost_weight: Annotated[float | None, typer.Option(help="Reward per dollar saved, 1/USD.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Order of the queries.")] = 0,
) -> None:
    """Watch a router learn: real queries over HTTP, recorded outcomes as feedback, then `verify`."""
    from bandit_router.demo.run import run

    for variable in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        del os.environ[variable]  # the demo brings its own settings, and must not write to anyone's database
    report = run(data=data, queries=queries, cost_weight=cost_weight, seed=seed, console=out)
    out.print()
    print_report(report)
    if not report.ok:
        raise typer.Exit(1)


@arms_app.command("list")
def list_arms(config: ConfigOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """The arms, whether they are on, and how many rewards each has earned."""
    with _quiet_router(config) as router:
        counts = router.counts()
        rows = [(arm, counts.get(arm.name, 0)) for arm in router.arms]
    if as_json:
        _print_json(
            [{"name": a.name, "model": a.model, "enabled": a.enabled, "rewards_counted": n} for a, n in rows]
        )
        return
    table = Table("arm", "model", "enabled", "rewards counted")
    for arm, n in rows:
        table.add_row(arm.name, f"{arm.provider}/{arm.model}", "yes" if arm.enabled else "no", str(n))
    out.print(table)


@arms_app.command("enable")
def enable(name: str, config: ConfigOption = _DEFAULT) -> None:
    """Switch an arm on; workers follow within a second."""
    with _quiet_router(config) as router:
        router.enable_arm(name)


@arms_app.command("disable")
def disable(name: str, config: ConfigOption = _DEFAULT) -> None:
    """Switch an arm off; what was learned of it stays."""
    with _quiet_router(config) as router:
        router.enable_arm(name, False)


@arms_app.command("add")
def add(
    name: str,
    input_usd_per_mtok: Annotated[float, typer.Option(help="USD per million input tokens.")],
    output_usd_per_mtok: Annotated[float, typer.Option(help="USD per million output tokens.")],
    provider: Annotated[str, typer.Option(help="Who serves the model.")] = "openai",
    model: Annotated[str, typer.Option(help="The provider's model id; the name if empty.")] = "",
    expected_output_tokens: Annotated[int, typer.Option(help="Output tokens assumed for pricing.")] = 300,
    context_window: Annotated[int | None, typer.Option(help="Most tokens the model accepts.")] = None,
    capability: Annotated[list[str] | None, typer.Option(help="What it can do; may be repeated.")] = None,
    config: ConfigOption = _DEFAULT,
) -> None:
    """Add an arm while workers run, or change one that was added so."""
    if any(section.name == name for section in load_settings(config).arms):
        raise RouterError(f"arm {name!r} is in {config}, which would win at the next start; change it there")
    arm = Arm(
        name=name,
        provider=provider,
        model=model or name,
        input_usd_per_mtok=input_usd_per_mtok,
        output_usd_per_mtok=output_usd_per_mtok,
        expected_output_tokens=expected_output_tokens,
        context_window=context_window,
        capabilities=frozenset(capability or ()),
    )
    with _quiet_router(config) as router:
        router.put_arm(arm)


@contextmanager
def _quiet_router(config: Path) -> Iterator[Router]:
    """A router that learns nothing on its own while a command looks or repairs."""
    settings: Settings = load_settings(config)
    learner = settings.learner.model_copy(update={"interval_s": 3600.0})
    with Router.open(settings.model_copy(update={"learner": learner})) as router:
        yield router


def _metrics(texts: list[str]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for text in texts:
        name, value = _metric(text)
        if name in values:
            raise RouterError(f"{name} is given twice; give it once")
        values[name] = value
    return values


def _metric(text: str) -> tuple[str, float | None]:
    name, equals, value = text.partition("=")
    try:
        number = float(value or 0.0)
    except ValueError:
        equals = ""
    if not equals:
        raise RouterError(f"{text!r}: write a metric as name=number, such as quality=0.9")
    check_metric(name, number)
    return name, number if value else None


def _say(text: str, style: str | None = None) -> None:
    """Print text as it is, whatever brackets are in it and however long its lines are."""
    out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content))


if __name__ == "__main__":
    main()
