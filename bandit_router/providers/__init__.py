"""Providers: one client per arm, which sends bytes and returns bytes."""
