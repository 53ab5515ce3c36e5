"""The page of decisions: filter and search, newest first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import Request, Response
from starlette.responses import RedirectResponse

from bandit_router.router import Router
from bandit_router.server.dashboard.frame import describe_frame
from bandit_router.server.dashboard.query_fields import read_choice, read_text, read_time
from bandit_router.server.dashboard.rendering import render_page
from bandit_router.server.dashboard.session_cookie import ROOT
from bandit_router.store.decision_search import DecisionFilter
from bandit_router.types import Reason

FIELDS = ("arm", "reason", "since", "until", "user", "text", "id")
_SIZE = 50
_OWN_COLUMNS = ("cost_usd", "latency_s", "ttft_s", "quality")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def render_decisions(router: Router, request: Request) -> Response:
    """The page; an id that names one decision leads to that one. Raises InvalidInput."""
    query = request.query_params
    id = read_text(query, "id")
    decision_id = None if id is None else _find_one(router, id)
    if decision_id is not None:
        return RedirectResponse(f"{ROOT}/decisions/{decision_id}", HTTPStatus.SEE_OTHER)
    user, before = read_text(query, "user"), read_text(query, "before")
    page = router.find_decisions(_read_filter(query, id), user=user, before=before, size=_SIZE)
    fields = {name: query.get(name, "") for name in FIELDS}
    given = {name: text for name, text in fields.items() if text}
    older = None if page.next_before is None else urlencode(given | {"before": page.next_before})
    return render_page(
        "decisions.html",
        **describe_frame(router, request, "decisions"),
        found=page,
        fields=fields,
        filtered=bool(given or before),
        arms=[arm.name for arm in router.arms],
        reasons=list(Reason),
        older=older,
        own_columns=_OWN_COLUMNS,
        logs_queries=router.settings.router.log_queries,
    )


def _read_filter(query: Mapping[str, str], id: str | None) -> DecisionFilter:
    """The filter of a page's address. Raises InvalidInput."""
    return DecisionFilter(
        arm=read_text(query, "arm"),
        reason=read_choice(query, "reason", Reason),
        since=read_time(query, "since"),
        until=read_time(query, "until", end_of_day=True),
        id_prefix=None if id is None else id.lower(),
        text=read_text(query, "text"),
    )


def _find_one(router: Router, id: str) -> str | None:
    """The decision that the id names by itself; None if it may begin the ids of several."""
    if _ID.fullmatch(id.lower()):
        return id.lower()
    return router.find_decision_of(id)
