"""What was found, for people and programs: a table, plain JSON, one HTML page."""
