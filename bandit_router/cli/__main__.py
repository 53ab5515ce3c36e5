"""``python -m bandit_router.cli``."""

from bandit_router.cli import main

main()
