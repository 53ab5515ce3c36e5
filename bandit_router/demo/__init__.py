"""The demo: real queries through a real service, recorded outcomes played back as feedback."""
