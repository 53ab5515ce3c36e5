"""The pages of the dashboard and what they load, as endpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from bandit_router.errors import RouterError
from bandit_router.problems import UNAVAILABLE, find_kind
from bandit_router.router import AsyncRouter, Router
from bandit_router.server.dashboard.decision_list import render_decisions
from bandit_router.server.dashboard.decision_page import render_decision
from bandit_router.server.dashboard.login import LOGIN, LOGOUT, LoginPages, LoginRefusal
from bandit_router.server.dashboard.overview import render_overview
from bandit_router.server.dashboard.rendering import read_static_file, render_page
from bandit_router.server.dashboard.session_cookie import ROOT

Endpoint = Callable[[Request], Awaitable[Response]]
Render = Callable[[Router, Request], Response]

_STATIC = {"style.css": "text/css", "script.js": "text/javascript", "icon.svg": "image/svg+xml"}
_DAY_S = 86_400


def add_dashboard(app: FastAPI) -> None:
    """Serve the pages at /dashboard and below."""

    def add(path: str, method: str, endpoint: Endpoint) -> None:
        methods = [method, "HEAD"] if method == "GET" else [method]
        app.add_api_route(path, _answer_errors(endpoint), methods=methods, include_in_schema=False)

    add("/", "GET", lead_to_dashboard)
    add(ROOT, "GET", show_overview)
    add(f"{ROOT}/decisions", "GET", _read_in_thread(render_decisions))
    add(f"{ROOT}/decisions/{{decision_id}}", "GET", _read_in_thread(render_decision))
    add(LOGIN, "GET", lambda request: _find_login(request).show(request))
    add(LOGIN, "POST", lambda request: _find_login(request).log_in(request))
    add(LOGOUT, "POST", lambda request: _find_login(request).log_out(request))
    for name, media_type in _STATIC.items():
        add(f"{ROOT}/{name}", "GET", _serve_static(name, media_type))


def _find_login(request: Request) -> LoginPages:
    """The login pages of this worker, which begin with the first request of them."""
    state = request.app.state
    if not hasattr(state, "login"):
        state.login = LoginPages(state.router)
    login: LoginPages = state.login
    return login


async def lead_to_dashboard(request: Request) -> Response:  # noqa: ARG001
    return RedirectResponse(ROOT)


async def show_overview(request: Request) -> Response:
    router: AsyncRouter = request.app.state.router
    cooling = request.app.state.gateway.health.find_cooling()
    return await router.read(lambda sync_router: render_overview(sync_router, request, cooling))


def _read_in_thread(render: Render) -> Endpoint:
    """An endpoint whose page reads the database; requests of others go on meanwhile."""

    async def endpoint(request: Request) -> Response:
        router: AsyncRouter = request.app.state.router
        return await router.read(lambda sync_router: render(sync_router, request))

    return endpoint


def _serve_static(name: str, media_type: str) -> Endpoint:
    async def endpoint(request: Request) -> Response:  # noqa: ARG001
        headers = {"Cache-Control": f"public, max-age={_DAY_S}", "X-Content-Type-Options": "nosniff"}
        return Response(read_static_file(name), headers=headers, media_type=media_type)

    return endpoint


def _answer_errors(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint, whose errors are pages."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except LoginRefusal as refusal:
            return render_error(refusal.status, str(refusal))
        except RouterError as error:
            kind = find_kind(error)
            if kind is None or kind is UNAVAILABLE:
                detail = "The database cannot be read now; the log of the service says why."
                return render_error(HTTPStatus.SERVICE_UNAVAILABLE, detail)
            return render_error(kind.status, str(error))

    return answer


def render_error(status: HTTPStatus, detail: str) -> Response:
    """The page of an error."""
    return render_page("error.html", status, detail=detail)
