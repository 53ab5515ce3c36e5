"""Roll-ups: sums over the log by hour and day, written with it, so that nobody has to read all of it."""
