"""The API key of an arm: read when it is needed, again when its file changes, and shown nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from bandit_router.errors import ConfigError
from bandit_router.settings.arms import ArmSection


class ApiKey:
    """A key in an environment variable or in a file. It has no other attribute that holds it, and no repr."""

    def __init__(self, arm: str, *, variable: str | None = None, file: Path | None = None) -> None:
        """Raises ConfigError when there is no key at first."""
        self._arm, self._variable, self._file = arm, variable, file
        self._stamp: tuple[int, int, int] | None = None
        self._value = ""
        self.read()

    def read(self) -> str:
        """The key of now. A file or variable that is gone or empty leaves the last key in force."""
        if self._file is None:
            value = os.environ.get(self._variable or "") or self._value
            self._value = self._check(value, f"variable {self._variable}")
        elif (stamp := self._stat(self._file)) != self._stamp or not self._value:
            self._value = self._read_file(self._file)
            self._stamp = stamp
        return self._value

    def forget(self) -> None:
        """Read the file again at the next use, though it looks unchanged: the key was rejected."""
        self._stamp = None

    def redact(self, body: bytes) -> bytes:
        """``body`` without the key, should a server repeat it."""
        return body.replace(self._value.encode(), b"***")

    def _read_file(self, file: Path) -> str:
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            if self._value:
                return self._value
            problem = getattr(error, "strerror", None) or "is not text"
            raise ConfigError(f"arm {self._arm!r}: api_key_file {file}: {problem}") from None
        return self._value if self._value and not text else self._check(text, f"file {file}")

    def _check(self, value: str, where: str) -> str:
        if not value:
            raise ConfigError(f"arm {self._arm!r}: there is no API key in {where}; put one there")
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise ConfigError(f"arm {self._arm!r}: what is in {where} cannot be an API key")
        return value

    @staticmethod
    def _stat(file: Path) -> tuple[int, int, int] | None:
        try:
            status = file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def open_key(arm: ArmSection, usual_variable: str) -> ApiKey | None:
    """The key of an arm; None for a server of its own that no key is named for. Raises ConfigError."""
    if arm.api_key_file is not None:
        return ApiKey(arm.name, file=arm.api_key_file)
    variable = arm.api_key_env or (
        None if arm.base_url else usual_variable
    )  # no key of theirs to another server
    return None if variable is None else ApiKey(arm.name, variable=variable)
