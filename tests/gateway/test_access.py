"""Who may use the gateway while there are no keys."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from bandit_router.providers.scripted import Scene
from tests.gateway.conftest import gateway_to

HELLO = Scene(pieces=("Hello",))
BODY = {"model": "auto", "messages": [{"role": "user", "content": "Say hello."}]}


def test_only_programs_of_this_machine_are_answered(tmp_path: Path) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as gateway:
        url = f"{gateway.openai_url}/chat/completions"
        assert httpx.post(url, json=BODY).status_code == 200
        for headers in (
            {"host": "evil.example"},
            {"forwarded": "for=1.2.3.4"},
            {"x-forwarded-for": "1.2.3.4"},
            {"x-real-ip": "1.2.3.4"},
        ):
            refused = httpx.post(url, json=BODY, headers=headers)
            assert refused.status_code == 403
            assert "--open" in refused.json()["error"]["message"]
            assert httpx.get(f"{gateway.openai_url}/models", headers=headers).status_code == 403
        page = httpx.post(url, content=b"{}", headers={"content-type": "text/plain"})
        assert page.status_code == 415
        assert len(gateway.upstreams["cheap"].app.calls) == 1


@pytest.mark.parametrize("option", ["--open"])
def test_open_answers_anybody(tmp_path: Path, option: str) -> None:
    with gateway_to(tmp_path, {"cheap": HELLO, "dear": HELLO}, None, option) as gateway:
        url = f"{gateway.openai_url}/chat/completions"
        assert httpx.post(url, json=BODY, headers={"host": "router.example"}).status_code == 200
