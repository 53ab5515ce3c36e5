"""The log -> the next model state: fold, count, watch for drift, audit."""
