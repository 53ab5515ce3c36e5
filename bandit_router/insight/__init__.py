"""Figures that the owner of a router looks at, each one pure function from roll-ups to numbers."""
