"""The registered policies: an import line registers one, under its ``name``."""

from bandit_router.policies.bandit import EpsilonGreedy, Fixed, LinUCB, Tempered, Thompson, Uniform
from bandit_router.policies.caller import Caller
from bandit_router.policies.cheap_first import CheapFirst
from bandit_router.policies.classifier import ClassifierPolicy
from bandit_router.policies.heuristic import Heuristic
from bandit_router.policies.tier import Tier
