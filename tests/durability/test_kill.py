"""SIGKILL in the middle of routing and folding: whatever was acknowledged is there and learned from."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.durability.checks import check_nothing_lost
from tests.durability.helpers import Acknowledgements, converse, write_config
from tests.durability.locks import kill_while_held_up
from tests.durability.service import all_ready, client_of, kill
from tests.durability.workers import conversations, hasty_conversations, process
from tests.services import serving

KILLS = 6
ANSWERS = 60
"""Answers to wait for before a kill, so that it falls into the middle of traffic and folds."""


@pytest.fixture
def busy(url: str, tmp_path: Path) -> Path:
    """Settings of a router that folds a hundred times a second."""
    return write_config(tmp_path, url, interval_s=0.01)


def test_a_process_killed_while_it_routes_and_folds_loses_nothing(busy: Path, told: Acknowledgements) -> None:
    rng = random.Random(9)
    for seed in range(KILLS):
        with process(conversations, busy, told.path, seed) as (child, pipe):
            pipe.send("go on")
            told.wait_for(ANSWERS)
            time.sleep(rng.random() * 0.05)
            assert child.is_alive(), "it ended by itself"
        check_nothing_lost(busy, told.read())
    assert told.read().refusals == 0


def test_a_service_killed_in_the_middle_of_requests_loses_nothing(busy: Path, told: Acknowledgements) -> None:
    stop = threading.Event()
    with (
        serving(busy, "--workers", "2") as service,
        client_of(service, 4) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        all_ready(service, 2)

        def talk(caller: int) -> None:
            try:
                converse(client.route, client.say, told, caller, stop)
            except (OSError, HTTPException):
                assert stop.is_set(), "the service hung up before it was killed"

        callers = [threads.submit(talk, caller) for caller in range(4)]
        told.wait_for(4 * ANSWERS)
        stop.set()
        kill(service)
        for caller in callers:
            caller.result()
    check_nothing_lost(busy, told.read())
    assert told.read().refusals == 0


# -- negative control -----------------------------------------------------------------------------


def test_no_answer_is_given_while_commits_are_held_up(busy: Path, told: Acknowledgements) -> None:
    kill_while_held_up(busy, told.path, conversations, partial(time.sleep, 0.3))
    assert told.count() == 0
    check_nothing_lost(busy, told.read())


def test_a_writer_that_answers_before_the_commit_fails_the_check(busy: Path, told: Acknowledgements) -> None:
    kill_while_held_up(busy, told.path, hasty_conversations, partial(told.wait_for, ANSWERS))
    with pytest.raises(AssertionError, match="acknowledged decisions are lost"):
        check_nothing_lost(busy, told.read())
