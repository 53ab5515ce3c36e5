"""Posteriors of the arms, pure numpy: rewards, costs, latencies, confidence, and their binary form."""
