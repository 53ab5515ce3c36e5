"""What is optimised: the reward made from feedback, and the pacing of a budget or a floor."""
