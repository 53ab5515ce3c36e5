"""router.toml and the environment -> Settings, checked and typed; the files that `init` writes."""

from bandit_router.settings.loading import CONFIG_VARIABLE, load_settings, make_settings
from bandit_router.settings.models import Settings

__all__ = ["CONFIG_VARIABLE", "Settings", "load_settings", "make_settings"]
