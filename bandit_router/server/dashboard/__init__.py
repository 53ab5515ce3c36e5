"""The dashboard: pages for the owner of a router, rendered on the server; they need no script."""
