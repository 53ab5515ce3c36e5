"""The router of a service elsewhere, with the signatures of the library's own."""

from __future__ import annotations

from bandit_router.client.answers import ExplainedDecision, JudgedAnswer, RoutedChain, RoutedDecision
from bandit_router.client.async_client import AsyncClient
from bandit_router.client.client import Client

__all__ = ["AsyncClient", "Client", "ExplainedDecision", "JudgedAnswer", "RoutedChain", "RoutedDecision"]
