"""Policies that learn, played on data where the outcome of every arm is known."""
