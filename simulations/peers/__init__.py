"""Other bandit libraries as agents, each with its own defaults, beside bandit-router.

All get the same contexts in the same order and every outcome at once. They learn the utility,
quality − λ · cost, unless the library has a cost term of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from bandit_router.evaluation.simulation.agents import MakeAgent
from simulations.peers.contextual import ContextualBanditsMaker
from simulations.peers.mabwiser import MABWiserMaker
from simulations.peers.paretobandit import ParetoBanditMaker
from simulations.peers.vowpal_wabbit import VowpalWabbitMaker

PEERS: Mapping[str, MakeAgent] = {
    "MABWiser LinUCB": MABWiserMaker(policy="LinUCB"),
    "MABWiser LinUCB, α = 0.1": MABWiserMaker(policy="LinUCB", alpha=0.1),
    "MABWiser LinTS": MABWiserMaker(policy="LinTS"),
    "MABWiser LinTS, α = 0.3": MABWiserMaker(policy="LinTS", alpha=0.3),
    "paretobandit": ParetoBanditMaker(),
    "paretobandit, α = 0.3": ParetoBanditMaker(alpha=0.3),
    "paretobandit, router's defaults": ParetoBanditMaker(setting="router"),
    "paretobandit, policy's defaults": ParetoBanditMaker(setting="policy"),
    "Vowpal Wabbit SquareCB": VowpalWabbitMaker(),
    "contextualbandits LinUCB": ContextualBanditsMaker(policy="LinUCB"),
    "contextualbandits AdaptiveGreedy": ContextualBanditsMaker(policy="AdaptiveGreedy"),
}
"""Makers by the name of their row: a library's defaults, and another width where those do badly here."""
