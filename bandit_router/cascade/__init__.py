"""Cascade: whether an answer of a cheap arm is retried on an expensive one, pure."""

from bandit_router.cascade import confidence as confidence
