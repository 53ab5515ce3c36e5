"""The gateway: makes the call of a decision, and passes its bytes through."""
