"""Labels: what every arm answers to the same queries, and how good each answer is."""
