"""Tokens of images, documents and audio: stated amounts, since nothing is decoded or fetched.

An image counts as one of 1024 × 1024 pixels. OpenAI's rule is 85 tokens and 170 for each tile, at most
1,445, and 85 at low detail; Anthropic's is width · height / 750, at most about 1,600. Anthropic takes 1,500
to 3,000 tokens for a page of a PDF; here a page has 2,300 tokens and 40,000 bytes. OpenAI takes 10 tokens
for a second of audio; here a second has 16,000 bytes. What is named by URL or id counts as two pages, or as a
minute.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bandit_router.features.prompt.tokens import TokenWeight
from bandit_router.types import Need

MEDIA_NEEDS: Mapping[str, Need] = {
    **dict.fromkeys(
        ("image", "image_url", "input_image", "computer_screenshot", "image_generation_call"), Need.VISION
    ),
    **dict.fromkeys(("document", "file", "input_file"), Need.DOCUMENTS),
    **dict.fromkeys(("audio", "input_audio"), Need.AUDIO),
}
"""What a part of each type needs. The part is not read as text, apart from its names and captions."""

_PAYLOAD_KEYS = ("data", "file_data", "url", "image_url", "file_url", "result")
_LEAST_OPAQUE_CHARS = 1024
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\r\n]+={0,2}\s*")
_DATA_URL = re.compile(r"data:[^,]{0,256};base64,")

_OPENAI_IMAGE, _ANTHROPIC_IMAGE = TokenWeight(765_00, 1_600_00), TokenWeight(1_400_00, 1_600_00)
_LOW_DETAIL = TokenWeight(85_00, 85_00)
_UNSEEN_DOCUMENT, _UNSEEN_AUDIO = TokenWeight(4_600_00, 30_000_00), TokenWeight(600_00, 6_000_00)
_TOKENS_PER_KILOBYTE: Mapping[Need, tuple[float, float]] = {
    Need.DOCUMENTS: (57.5, 172.5),  # a page of 2,300 tokens in 40 kB; one in 13 kB
    Need.AUDIO: (0.625, 2.5),  # 10 tokens in 16 kB, one second; in 4 kB
}


def is_text_document(part: Mapping[str, Any]) -> bool:
    """Whether a document part holds its text, or parts of its own, in place of a file."""
    source = part.get("source")
    return isinstance(source, Mapping) and source.get("type") in ("text", "content")


def weigh_media(part: Mapping[str, Any], need: Need) -> TokenWeight:
    """The stated weight of a part that holds an image, a document or audio."""
    if need is Need.VISION:
        if any(holder.get("detail") == "low" for holder in _holders(part)):
            return _LOW_DETAIL
        return _ANTHROPIC_IMAGE if "source" in part else _OPENAI_IMAGE
    for holder in _holders(part):
        for key in ("data", "file_data"):
            if isinstance(payload := holder.get(key), str):
                return _weigh_base64(payload, need)
    return _UNSEEN_DOCUMENT if need is Need.DOCUMENTS else _UNSEEN_AUDIO


def weigh_opaque(text: str) -> TokenWeight | None:
    """The weight of a string that is data in base64, by its size; None if it may be read as text."""
    is_data = _DATA_URL.match(text) or (len(text) >= _LEAST_OPAQUE_CHARS and _BASE64.fullmatch(text))
    return _weigh_base64(text, Need.DOCUMENTS) if is_data else None


def without_payload(part: Mapping[str, Any]) -> dict[str, Any]:
    """The names, captions and the like of a media part, without its data or the address of it."""
    return {
        key: without_payload(value) if isinstance(value, Mapping) else value
        for key, value in part.items()
        if not (key in _PAYLOAD_KEYS and isinstance(value, str))
    }


def _holders(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The part and the objects right below it, one of which holds the data."""
    yield part
    yield from (value for value in part.values() if isinstance(value, Mapping))


def _weigh_base64(payload: str, need: Need) -> TokenWeight:
    kilobytes = 0.75 * len(payload) / 1000
    likely, most = _TOKENS_PER_KILOBYTE[need]
    return TokenWeight(round(100 * likely * kilobytes), round(100 * most * kilobytes))
