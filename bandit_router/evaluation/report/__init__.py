"""Results for people and programs: tables for a terminal, plain JSON, one HTML page."""
