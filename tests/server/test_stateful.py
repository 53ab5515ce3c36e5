"""No request that the OpenAPI document leads to is answered with 5xx."""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI, Response

from tests.server.stateful import ServerFault, explore, explore_as, write_scripted
from tests.services import serving


def test_no_request_is_a_fault_of_ours(tmp_path: Path) -> None:
    """As an admin; the campaign comes as everybody."""
    with serving(write_scripted(tmp_path)) as service:
        statuses = explore(service, cases=300, everybody=["admin"])["admin"]
        assert "Traceback" not in service.log
    acted = {path for (_, path, status) in statuses if status == 200}
    assert "/v1/route" in acted
    assert any(path.startswith("/v1/decisions/") for path in acted)  # it followed a link
    assert statuses.total() >= 300
    assert {"/v1/chat/completions", "/v1/responses", "/v1/messages"} <= acted


def test_a_fault_that_only_a_link_leads_to_is_reported() -> None:
    app = FastAPI()
    link = {"operationRef": "#/paths/~1ids~1{id}/get", "parameters": {"id": "$response.body#/id"}}

    @app.post("/ids", responses={200: {"links": {"id": link}}})
    def make() -> dict[str, str]:
        return {"id": "9f3c1d"}

    @app.get("/ids/{id}")
    def read(id: str) -> Response:
        return Response(status_code=500 if id == "9f3c1d" else 404)

    with pytest.raises(ServerFault, match="/ids/9f3c1d"):
        explore_as(schemathesis.openapi.from_asgi("/openapi.json", app), {}, 100)
