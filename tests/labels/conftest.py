"""The fixture that runs `bandit-router`."""

from tests.cli.conftest import call as call
