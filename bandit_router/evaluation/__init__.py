"""What other policies would have earned, from logs and from full-information data."""
