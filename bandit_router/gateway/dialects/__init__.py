"""Dialects: the HTTP forms that clients speak. Pure: bytes in, facts and bytes out."""
