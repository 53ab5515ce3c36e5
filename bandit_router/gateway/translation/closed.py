"""Reading in a closed world: every member of an object is taken, or the object has no translation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn


class Untranslatable(Exception):
    """Something has no exact translation. ``field`` is its place in a request, or says what it is."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class Members:
    """The members of a JSON object at ``place``, to be taken one by one. What is not an object is refused."""

    def __init__(self, value: object, place: str = "") -> None:
        if not isinstance(value, dict):
            raise Untranslatable(place or "body")
        self._left: dict[str, Any] = dict(value)
        self._place = place

    def at(self, name: str) -> str:
        """The place of a member, in characters that can be shown and stored."""
        shown = name if name.isprintable() else ascii(name)
        return f"{self._place}.{shown}" if self._place else shown

    def take(self, name: str) -> Any:
        """The value of a member; None if it is null or missing, which is the same in either API."""
        return self._left.pop(name, None)

    def take_text(self, name: str) -> str:
        """The text of a member that has to be one."""
        value = self.take(name)
        if not isinstance(value, str):
            self.refuse(name)
        return value

    def take_flag(self, name: str) -> bool | None:
        """The truth value of a member."""
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(name)
        return value

    def take_neutral(self, name: str, *neutral: object) -> None:
        """Pass over a member whose value says nothing: null, or one of ``neutral``. Refuse any other."""
        value = self.take(name)
        if value is not None and not any(type(value) is type(one) and value == one for one in neutral):
            self.refuse(name)

    def refuse(self, name: str) -> NoReturn:
        """Raise Untranslatable for a member."""
        raise Untranslatable(self.at(name)[:200])

    def finish(self) -> None:
        """Refuse the first member that nobody took."""
        for name in self._left:
            self.refuse(name)


def iterate_list(value: object, place: str) -> Iterator[tuple[str, Any]]:
    """The places and items of a list that has some; anything else is refused."""
    if not isinstance(value, list) or not value:
        raise Untranslatable(place)
    for index, item in enumerate(value):
        yield f"{place}[{index}]", item
