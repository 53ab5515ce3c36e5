"""What processes of tests have imported when they begin: all that a service imports, sooner or later."""

import anthropic  # noqa: F401
import openai  # noqa: F401

import bandit_router.cli.serve
import bandit_router.router
import bandit_router.server.app  # noqa: F401
