"""Simulation of policies that learn, on data where the outcome of every arm is known."""
