"""Experiments on real data. They import the package, never the reverse."""
