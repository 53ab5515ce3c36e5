"""Sphinx: Markdown pages, the library reference from docstrings, three references from the code itself.

A build looks nothing up over the network, and every reference has to lead somewhere (``-n -W``).
"""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "bandit-router"
author = "The bandit-router authors"
version = release = version_of("bandit-router")

extensions = ["myst_parser", "sphinx.ext.autodoc", "generated_references", "internal_references"]
exclude_patterns = ["_build", "extensions"]

myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "bandit-router"
html_copy_source = False
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

# Names of other projects.
nitpick_ignore_regex = [
    ("py:.*", r"(collections\.abc|datetime|decimal|enum|fractions|httpx2|numpy|np|npt|pathlib)\..*"),
    ("py:.*", r"(pydantic|pydantic_settings|typing|uuid|uuid_utils)\..*"),
]
