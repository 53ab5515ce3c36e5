"""`keys`: create, list, rotate and revoke the API keys of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from bandit_router.cli.command import App
from bandit_router.cli.connect import open_existing_store, open_quiet_router
from bandit_router.cli.option_values import parse_duration
from bandit_router.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from bandit_router.cli.output import console, format_time, print_json, print_line, print_warning
from bandit_router.security.budget import KeySpending
from bandit_router.security.issue import KeyRequest
from bandit_router.security.keys import ApiKey, NewSecret

KeyId = Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")]

app = App(help="Create, list, rotate and revoke API keys. Once there is one, every request needs one.")


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What you call the key: who or what has it.")],
    scope: Annotated[
        list[str], typer.Option(help="What it is for: route, feedback, read or admin; repeatable.")
    ],
    arm: Annotated[
        list[str] | None, typer.Option(help="An arm it may call; repeatable. All of them by default.")
    ] = None,
    usd_per_day: Annotated[
        float | None, typer.Option(help="USD that its calls of the gateway may cost a day (UTC).")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it is valid: 12h, 30d. For ever by default.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Requests per second that each worker answers.")] = None,
    burst: Annotated[
        int | None, typer.Option(help="Requests that may come at once; those of a second by default.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Create a key, and print it: it is shown this once."""
    request = KeyRequest(
        name=name,
        scopes=scope,
        arms=arm or None,
        usd_per_day=usd_per_day,
        requests_per_second=rate,
        burst=burst,
        expires_in_s=parse_duration("expires", expires),
    )
    with open_quiet_router(config) as router:
        _print_secret(router.create_key(request), as_json)


@app.command("list")
def list_keys(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List all keys, revoked ones too: what they are for, and until when."""
    with open_existing_store(config) as store:
        keys, now, spending = store.keys(), store.clock.reference(), store.key_spending()
    if as_json:
        print_json([_describe(key, now, spending) for key in keys])
        return
    table = Table(
        Column("id", no_wrap=True),
        "name",
        Column("state", no_wrap=True),
        "scopes",
        "arms",
        "created",
        "expires",
        "limits",
    )
    for key in keys:
        table.add_row(
            key.id,
            key.name,
            key.state(now) + ("" if key.quarantined_at is None else ", quarantined"),
            ", ".join(sorted(key.scopes)),
            "all" if key.arms is None else ", ".join(sorted(key.arms)),
            format_time(key.created_at),
            "never" if key.expires_at is None else format_time(key.expires_at),
            _describe_limits(key, spending),
        )
    console.print(table)


@app.command("rotate")
def rotate_key(
    key_id: KeyId,
    grace: Annotated[
        str | None, typer.Option(help="How long the old secret is valid, too: 1h. Not at all by default.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Give a key another secret, and print it: it is shown this once."""
    grace_s = parse_duration("grace", grace) or 0.0
    with open_existing_store(config) as store:
        _print_secret(store.rotate_key(key_id, grace_s), as_json)


@app.command("revoke")
def revoke_key(key_id: KeyId, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Refuse a key from now on; workers follow within seconds."""
    with open_existing_store(config) as store:
        store.revoke_key(key_id)


def _print_secret(new: NewSecret, as_json: bool) -> None:
    if as_json:
        print_json({"id": new.key.id, "api_key": new.credential})
        return
    print_line(new.credential)
    print_warning("keep it now: it is not shown again, and is stored nowhere")


def _describe(key: ApiKey, now: float, spending: Mapping[str, KeySpending]) -> dict[str, Any]:
    """The key for programs, without its hashes."""
    today = None if key.usd_per_day is None else spending.get(key.id, KeySpending())
    return {
        "id": key.id,
        "name": key.name,
        "state": key.state(now),
        "scopes": sorted(key.scopes),
        "arms": None if key.arms is None else sorted(key.arms),
        "usd_per_day": key.usd_per_day,
        "spent_usd_today": None if today is None else today.spent_usd,
        "reserved_usd_today": None if today is None else today.reserved_usd,
        "requests_per_second": key.requests_per_second,
        "burst": key.burst,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "rotated_at": key.rotated_at,
        "former_until": key.former_until,
        "quarantined_at": key.quarantined_at,
    }


def _describe_limits(key: ApiKey, spending: Mapping[str, KeySpending]) -> str:
    limits = []
    if key.usd_per_day is not None:
        today = spending.get(key.id, KeySpending())
        booked = f"{today.spent_usd:.4g} spent, {today.reserved_usd:.4g} reserved"
        limits.append(f"{key.usd_per_day:g} USD/day ({booked})")
    if key.requests_per_second is not None:
        limits.append(f"{key.requests_per_second:g}/s, {key.burst} at once")
    return "; ".join(limits) or "none"
