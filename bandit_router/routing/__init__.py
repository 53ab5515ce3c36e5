"""One decision, pure: which arms are eligible, which rule takes precedence, and the draw."""
