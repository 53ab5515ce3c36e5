"""GET /v1/calibration: how often what is learned is wrong."""

from __future__ import annotations

import pytest

from bandit_router.router import Router
from tests.server.conftest import Client, assert_problem
from tests.services import serving, write_settings


def test_a_service_compares_what_came_with_what_it_expected(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    config = write_settings(tmp_path_factory.mktemp("calibrated"), learner={"interval_s": 3600.0})
    with Router.open(config) as router:
        for i in range(95):
            router.feedback(router.route(f"query {i}", arms=["small"]).id, quality=float(i < 45))
            router.learn()
    with serving(config) as service, Client(service.url) as client:
        found = client.get("/v1/calibration").json()
        few = client.get("/v1/calibration", params={"last": 10}).json()
    small = found["arms"]["small"]
    assert (found["alarms"], small["alarm"]) == (["small"], True)
    assert 50 <= small["reward"]["rewards"] <= 65  # of the newest more may be heard yet
    assert small["widest"]["z"] < -4.0
    assert small["cost"] is None
    assert found["arms"]["large"] == {"reward": None, "widest": None, "cost": None, "alarm": False}
    assert 1 <= few["arms"]["small"]["reward"]["rewards"] <= 10


@pytest.mark.parametrize("last", ["0", "-1", "x", "1.5", "20001", "1000000"])
def test_a_number_that_cannot_be_is_refused(client: Client, last: str) -> None:
    answer = client.get("/v1/calibration", params={"last": last})
    assert "last" in assert_problem(answer, 422)["errors"][0]["field"]
