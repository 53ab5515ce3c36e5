"""Logs as folders of Parquet: written from a database or from blocks, read as blocks."""
