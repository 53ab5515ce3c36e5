"""What is believed of the arms, pure numpy: rewards, costs, latencies, and their binary form."""
