"""The demo: real queries through a live service, recorded outcomes sent back as feedback."""
