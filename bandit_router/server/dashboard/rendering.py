"""Templates to pages: HTML that loads nothing from elsewhere, under a strict content security policy."""

from __future__ import annotations

import hashlib
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.responses import HTMLResponse

from bandit_router.server.dashboard import formats
from bandit_router.server.dashboard.session_cookie import ROOT

if TYPE_CHECKING:
    from jinja2 import Environment

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def render_page(template: str, status: HTTPStatus = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """The page of a template."""
    html = _load_templates().get_template(template).render(values, status=status)
    return HTMLResponse(html, status, _HEADERS)


def read_static_file(name: str) -> bytes:
    """The content of a file that pages load."""
    return files(__package__).joinpath("static", name).read_bytes()


@cache
def _load_templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # late: only pages need it

    assert __package__ is not None
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"root": ROOT, "versioned": _add_version}
    environment.filters |= formats.FILTERS
    environment.tests["markup"] = lambda value: isinstance(value, Markup)
    return environment


@cache
def _add_version(name: str) -> str:
    """The address of a static file, which changes with its content."""
    return f"{ROOT}/{name}?v={hashlib.sha256(read_static_file(name)).hexdigest()[:12]}"
