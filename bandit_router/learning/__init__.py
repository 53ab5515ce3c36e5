"""Learning: the log -> the next model state. Fold, accumulate, watch for drift, audit."""
