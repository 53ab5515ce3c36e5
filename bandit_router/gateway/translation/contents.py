"""The contents of chat messages as content blocks."""

from __future__ import annotations

import re
from typing import Any

from bandit_router.gateway.translation.closed import Members, Untranslatable, iterate_list

Block = dict[str, Any]

_DATA_URL = re.compile(r"data:(image/(?:jpeg|png|gif|webp));base64,([A-Za-z0-9+/]+={0,2})")


def translate_texts(content: object, place: str) -> list[Block]:
    """The blocks of a content that has texts only: a string, or a list of text parts."""
    if isinstance(content, str):
        return [_write_text(content, place)]
    return [_translate_part(part, at, images=False) for at, part in iterate_list(content, place)]


def translate_contents(content: object, place: str) -> list[Block]:
    """The blocks of a content that may have images, too."""
    if isinstance(content, str):
        return [_write_text(content, place)]
    return [_translate_part(part, at, images=True) for at, part in iterate_list(content, place)]


def _translate_part(part: object, place: str, *, images: bool) -> Block:
    members = Members(part, place)
    kind = members.take("type")
    if kind == "text":
        block = _write_text(members.take_text("text"), members.at("text"))
    elif kind == "image_url" and images:
        block = _translate_image(members.take("image_url"), members.at("image_url"))
    else:
        members.refuse("type")
    members.finish()
    return block


def _write_text(text: str, place: str) -> Block:
    if not text.strip():  # Anthropic takes no block without a visible character
        raise Untranslatable(place)
    return {"type": "text", "text": text}


def _translate_image(image: object, place: str) -> Block:
    members = Members(image, place)
    url = members.take_text("url")
    members.take_neutral("detail", "auto")
    members.finish()
    if data := _DATA_URL.fullmatch(url):
        return {"type": "image", "source": {"type": "base64", "media_type": data[1], "data": data[2]}}
    if url.startswith("https://"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    raise Untranslatable(f"{place}.url")
