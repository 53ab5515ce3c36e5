"""Cascade: whether an answer of a cheap arm is retried on an expensive one, pure."""
