"""A short form of the campaign: rounds that no other test has, its controls, and when it fails."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.durability.campaign.__main__ import main
from tests.durability.campaign.controls import CONTROLS
from tests.durability.campaign.faults import CAMPAIGN, FAULTS
from tests.durability.campaign.full_disk import require_refusal, run_on_full_disk
from tests.durability.campaign.nouns import SQLITE, Campaign, Control, Round, Site, Tally, make_site
from tests.durability.campaign.runner import run_control, run_round
from tests.durability.campaign.traffic import ANSWERS, library
from tests.durability.checks import compare_with_log

TESTED_ELSEWHERE = ("SIGKILL of all processes", "sessions cut")
ROUNDS = {one.kind: one for one in FAULTS if one.kind not in TESTED_ELSEWHERE}


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A site on a migrated database of the kind that the test is parametrized with."""
    site = make_site(tmp_path, request.getfixturevalue(f"{request.param}_url"))
    with closing(site.told):
        yield site


@pytest.mark.parametrize(
    ("site", "one"), [(one.backend, one) for one in ROUNDS.values()], ids=list(ROUNDS), indirect=["site"]
)
def test_a_round_loses_and_doubles_nothing(site: Site, one: Round) -> None:
    tally = Tally()
    assert run_round(CAMPAIGN, one, site, random.Random(1), tally), tally.problems
    assert tally.ok
    assert tally.rounds == 1


@pytest.mark.parametrize(
    ("site", "control"),
    [(control.backend, control) for control in CONTROLS],
    ids=[control.name for control in CONTROLS],
    indirect=["site"],
)
def test_a_broken_part_is_reported(site: Site, control: Control) -> None:
    assert run_control(CAMPAIGN, control, site)


@pytest.mark.parametrize("site", [SQLITE], indirect=True)
@pytest.mark.parametrize("command", ["migrate", "rebuild"])
def test_a_command_without_room_for_the_log_of_a_killed_process_says_so(site: Site, command: str) -> None:
    with library(site, random.Random(1)):
        site.told.wait_for(ANSWERS)
    require_refusal(run_on_full_disk(0, command, "--config", site.config))
    assert compare_with_log(site.config, site.told.read()).ok


# -- the command fails ----------------------------------------------------------------------------


def do_nothing(site: Site, *_: random.Random) -> None:
    pass


def forget_a_decision(site: Site, _: random.Random) -> None:
    site.told.note("decision", {"id": "0190-never-logged"})


def fail(_site: Site, _rng: random.Random) -> None:
    raise RuntimeError("the service did not start")


@pytest.mark.parametrize(
    ("run", "control", "said"),
    [
        (do_nothing, CONTROLS[1], ["PASSED: 1 rounds", "counts twice: reported"]),
        (forget_a_decision, CONTROLS[1], ["FAILED: 1 rounds", "1 lost, 0 doubled", "0190-never-logged"]),
        (fail, CONTROLS[1], ["FAILED: 1 rounds", "0 lost, 0 doubled", "the service did not start"]),
        (
            do_nothing,
            Control("a sound part", SQLITE, do_nothing, CONTROLS[1].is_found),
            ["FAILED: 1 rounds", "a sound part: NOT REPORTED"],
        ),
    ],
)
def test_the_command_passes_only_when_nothing_is_wrong_and_every_control_is_reported(
    run: Callable[[Site, random.Random], None],
    control: Control,
    said: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    campaign = Campaign("small", (Round("kind", SQLITE, run),), (control,))
    status = main(["--seconds", "0"], [campaign])
    printed = capsys.readouterr().out
    assert status == (0 if "PASSED" in said[0] else 1)
    for words in said:
        assert words in printed
