"""The page at /docs: the OpenAPI document for people, without scripts and without anything from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{overflow-x:auto;padding:1rem;border:1px solid #8888}:root{color-scheme:light dark}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def add_docs_page(app: FastAPI) -> None:
    """Serve the page at /docs."""

    async def docs() -> HTMLResponse:
        return HTMLResponse(render_docs(app.openapi()), headers={"Content-Security-Policy": _POLICY})

    app.add_api_route("/docs", docs, methods=["GET", "HEAD"], include_in_schema=False)


def render_docs(document: Mapping[str, Any]) -> str:
    """The HTML page of an OpenAPI document."""
    info = document["info"]
    title = escape(f"{info['title']} {info['version']}")
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
            f"<style>{_STYLE}</style><h1>{title}</h1><p>{escape(info['description'])}",
            'For programs: <a href="openapi.json">openapi.json</a>.</p>',
            *_render_operations(document["paths"]),
            "<h2>Objects in answers</h2>",
            *_render_schemas(document["components"]["schemas"]),
            "</html>",
        ]
    )


def _render_operations(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p>{escape(operation['summary'])}.</p>"
            if "requestBody" in operation:
                [content] = operation["requestBody"]["content"].values()
                yield _render_schema("Body", content["schema"])
            if "parameters" in operation:
                yield _render_schema("Parameters", operation["parameters"])
            statuses = (
                f"{status}: {answer['description']}" for status, answer in operation["responses"].items()
            )
            yield f"<ul>{''.join(f'<li>{escape(status)}</li>' for status in statuses)}</ul>"


def _render_schemas(schemas: Mapping[str, Any]) -> Iterator[str]:
    return (_render_schema(name, schema) for name, schema in schemas.items())


def _render_schema(name: str, schema: Any) -> str:
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    return f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
