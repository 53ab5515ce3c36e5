"""Sphinx extension: a role may name anything of the package that exists, documented here or not.

Docstrings are written for readers of the code, and refer to rooms that the library reference leaves out.
Such a name is shown as code, without a link; a name that does not exist stays a warning.
"""

from __future__ import annotations

from importlib import import_module

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PACKAGE = "bandit_router"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("missing-reference", show_existing_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def show_existing_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.TextElement | None:
    """The text of a reference whose target exists in the package; None leaves it to others."""
    del app, env
    if node.get("refdomain") != "py":
        return None
    target, module = node["reftarget"], node.get("py:module") or PACKAGE
    names = (target, f"{module}.{target}", f"{PACKAGE}.{target}")
    return content if any(map(exists, names)) else None


def exists(name: str) -> bool:
    """Whether this dotted name is a module of the package, or something in one."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return False
    value, path = import_module(PACKAGE), PACKAGE
    for part in parts[1:]:
        path += f".{part}"
        if not hasattr(value, part):
            try:
                import_module(path)
            except ImportError:
                return False
        value = getattr(value, part)
    return True
