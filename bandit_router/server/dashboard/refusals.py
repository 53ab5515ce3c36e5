"""What a browser sees of a request that the guard does not let in: the form, or why not."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from bandit_router.server.dashboard.login import LOGOUT, make_login_address
from bandit_router.server.dashboard.rendering import render_page
from bandit_router.server.dashboard.session_cookie import ROOT, is_dashboard


def answer_refusal(status: int, detail: str, scope: Scope) -> Response | None:
    """The page for a browser that asked for one of the dashboard; None for everybody else."""
    accepted = HTTPConnection(scope).headers.get("accept", "")
    if not is_dashboard(scope["path"]) or "text/html" not in accepted:
        return None
    if status == HTTPStatus.UNAUTHORIZED:
        path = ROOT if scope["path"] == LOGOUT else scope["path"]
        query = scope["query_string"].decode("latin-1")
        return RedirectResponse(make_login_address(path, query), HTTPStatus.SEE_OTHER)
    return render_page("error.html", HTTPStatus(status), detail=detail)
