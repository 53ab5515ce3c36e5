"""Load router.toml and the environment into Settings; every error names the file or variable, and the key.

The environment wins over the file, the file over the defaults. A variable is named
``BANDIT_ROUTER_`` + section + ``__`` + key, for example ``BANDIT_ROUTER_STORE__URL``.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from bandit_router.errors import ConfigError
from bandit_router.settings.models import ENV_PREFIX, Settings

CONFIG_VARIABLE = "BANDIT_ROUTER_CONFIG"
"""The variable that names the settings file, for the command line and the server's workers."""

_HOLDS_SECRETS = {"api_key_env", "api_key_file", "base_url"}
"""Keys in which people put an API key by mistake: an error never shows what they hold."""

_USER_INFO = re.compile(r"//[^/@\s]*@")


def load_settings(path: str | Path) -> Settings:
    """The settings of a file, with the environment on top. Raises ConfigError, which names file and key."""
    return make_settings(_read_toml(Path(path)), source=str(path))


def make_settings(values: dict[str, Any], source: str = "settings") -> Settings:
    """The settings of a dict that ``source`` names, with the environment on top. Raises ConfigError."""
    _reject_unknown_variables()
    for key in values:  # pydantic-settings would obey keys such as _env_file
        if key not in Settings.model_fields:
            raise ConfigError(
                f"{source}: {key}: unknown key {key!r}; allowed: {', '.join(_allowed_keys([]))}"
            )
    try:
        return Settings(**values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        lines = [f"{_source_of_value(p['loc'], source)}: {_describe_error(dict(p))}" for p in problems]
        raise ConfigError("\n".join(lines)) from None
    except ValueError as error:  # pydantic-settings: an environment variable that is not JSON
        raise ConfigError(f"{ENV_PREFIX}*: {error}; give JSON") from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; write one with `bandit-router init`") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error


def _reject_unknown_variables() -> None:
    """Raise ConfigError for a variable with our prefix that sets nothing."""
    sections = Settings.model_fields
    for variable in os.environ:
        upper = variable.upper()  # pydantic-settings reads names in any case
        if upper.startswith(ENV_PREFIX) and upper != CONFIG_VARIABLE:
            section = upper.removeprefix(ENV_PREFIX).split("__")[0].lower()
            if section not in sections:
                raise ConfigError(f"{variable}: no section {section!r}; allowed: {', '.join(sections)}")


def _source_of_value(loc: tuple[int | str, ...], source: str) -> str:
    """The environment variable that set a key, else ``source``."""
    variables = {variable.upper(): variable for variable in os.environ}
    keys = [str(key).upper() for key in loc]
    names = (ENV_PREFIX + "__".join(keys[:end]) for end in range(len(keys), 0, -1))
    return next((variables[name] for name in names if name in variables), source)


def _describe_error(error: dict[str, Any]) -> str:
    *section, last = error["loc"]
    key = re.sub(r"\.(\d+)", r"[\1]", ".".join(str(name) for name in error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key {last!r}; allowed: {', '.join(_allowed_keys(section))}"
    if error["type"] == "missing":
        return f"{key}: is missing"
    message = error["msg"].removeprefix("Value error, ")
    if _HOLDS_SECRETS & set(error["loc"]):
        return f"{key}: {message[0].lower()}{message[1:]}"
    got = _USER_INFO.sub("//***@", repr(error["input"]))  # a database URL in the wrong place has a password
    return f"{key}: {message[0].lower()}{message[1:]}, got {got:.80}"


def _allowed_keys(section: list[Any]) -> list[str]:
    """The keys of a section, given the path to it: ``[]`` is the whole file, ``["arms", 0]`` an arm."""
    model: Any = Settings
    for key in section:
        if isinstance(key, str) and key in model.model_fields:  # else an index or a name of the owner's
            annotation = model.model_fields[key].annotation
            model = next((t for t in get_args(annotation) if isinstance(t, type)), annotation)
    return list(model.model_fields)
