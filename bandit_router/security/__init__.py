"""Who may do what: API keys, their scopes and their limits. Pure: no I/O, and the time is passed in."""
