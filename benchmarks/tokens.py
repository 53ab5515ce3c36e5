"""Tokens per character of four published tokenizers, and the two figures of ours, by kind of text.

The tokenizers are those that LiteLLM ships. The texts are the translated messages of Sphinx, files of
installed packages, sentences written here, and data from a fixed seed: the same versions give the same
table. Prints it in Markdown.

Run as a module: ``python -m benchmarks.tokens``. What it needs is in ``docs/background/tokens.md``.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import re
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

from bandit_router.features.prompt.tokens import weigh_text

Counter = Callable[[str], int]
"""The number of tokens of a text."""

LATIN = {
    "en_GB": "English",
    "fr": "French",
    "de": "German",
    "vi": "Vietnamese",
    "tr": "Turkish",
    "pl": "Polish",
}
OTHER_SCRIPTS = {
    "el": "Greek",
    "ru": "Russian",
    "he": "Hebrew",
    "ar": "Arabic",
    "hi": "Hindi",
    "bn": "Bengali",
    "si": "Sinhala",
    "ne": "Nepali",
    "ka": "Georgian",
    "ko": "Korean",
    "ja": "Japanese",
    "zh_CN": "Chinese, simplified",
    "zh_TW": "Chinese, traditional",
}
WRITTEN = {
    "Thai": "ประเทศไทยตั้งอยู่ในเอเชียตะวันออกเฉียงใต้ มีกรุงเทพมหานครเป็นเมืองหลวง และมีประชากรประมาณเจ็ดสิบล้านคน ",
    "Amharic": "ኢትዮጵያ በአፍሪካ ቀንድ የምትገኝ ሀገር ናት። ዋና ከተማዋ አዲስ አበባ ነው። ",
    "emoji": "😀🎉🚀❤️👍🏽🔥✨🙏😂🤔",
}
_REPEATS = 10
_ROWS = 200
_PLACEHOLDER = re.compile(r"%\(?\w*\)?[sdr]|[A-Za-z_`:]{3,}")  # of a message, and words that stay English


def load_tokenizers() -> dict[str, Counter]:
    """The tokenizers by name, from the files of LiteLLM; nothing is downloaded."""
    folder = _folder_of("litellm") / "litellm_core_utils" / "tokenizers"
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    import tiktoken
    from tokenizers import Tokenizer

    def count_openai(name: str) -> Counter:
        encoding = tiktoken.get_encoding(name)
        return lambda text: len(encoding.encode(text, disallowed_special=()))

    def count_file(name: str) -> Counter:
        tokenizer = Tokenizer.from_file(str(folder / name))
        return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)

    return {
        "cl100k": count_openai("cl100k_base"),
        "o200k": count_openai("o200k_base"),
        "Claude 2": count_file("anthropic_tokenizer.json"),
        "DeepSeek V3": count_file("deepseek_tokenizer.json"),
    }


def _folder_of(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed: see docs/background/tokens.md")
    return Path(spec.origin).parent


def read_messages(language: str) -> str:
    """Sphinx's messages in that language, a line each."""
    from babel.messages.pofile import read_po

    path = _folder_of("sphinx") / "locale" / language / "LC_MESSAGES" / "sphinx.po"
    with path.open("rb") as file:
        messages = [(str(message.id), message.string) for message in read_po(file) if message.id]
    translated = [
        text
        for english, text in messages
        if text and isinstance(text, str) and (language == "en_GB" or text != english)
    ]
    if language in OTHER_SCRIPTS:
        translated = [_PLACEHOLDER.sub("", text) for text in translated]
    return "\n".join(translated)


def _read_readme(package: str) -> str:
    return (distribution(package).read_text("METADATA") or "").partition("\n\n")[2]


def make_data(rng: random.Random) -> Iterator[tuple[str, str]]:
    """Texts that programs write."""
    numbers = [{"id": i, "x": rng.random(), "y": rng.random()} for i in range(_ROWS)]
    texts = [
        {
            "id": i,
            "name": rng.choice(["alice", "bob"]),
            "url": f"https://example.org/a/b?c={i}",
            "tags": ["a"],
        }
        for i in range(_ROWS)
    ]
    yield "JSON of numbers", json.dumps(numbers)
    yield "JSON of texts", json.dumps(texts)
    yield "JSON, indented", json.dumps(texts, indent=2)
    yield "base64", base64.b64encode(rng.randbytes(5000)).decode()
    yield "UUIDs", "\n".join(str(uuid.UUID(bytes=rng.randbytes(16))) for _ in range(_ROWS))
    rows = (",".join(f"{rng.gauss(0, 100):.3f}" for _ in range(8)) for _ in range(_ROWS))
    yield "CSV of numbers", "\n".join(rows)
    yield "access log", "\n".join(_make_log_line(rng) for _ in range(_ROWS))


def _make_log_line(rng: random.Random) -> str:
    clock = f"12:{rng.randint(0, 59):02d}:03.{rng.randint(0, 999):03d}"
    request = f"GET /api/v1/items/{rng.randint(0, 99999)} 200 {rng.randint(1, 900)}ms"
    return f"2026-11-{rng.randint(1, 28):02d}T{clock}Z INFO [worker-{rng.randint(0, 9)}] {request}"


def make_texts() -> Iterator[tuple[str, str]]:
    """Every text with its kind, in the order of the table."""
    for language, name in (LATIN | OTHER_SCRIPTS).items():
        yield name, read_messages(language)
    for name, sentence in WRITTEN.items():
        yield name, sentence * _REPEATS
    yield "Python", (_folder_of("sphinx") / "config.py").read_text(encoding="utf-8")
    yield "Markdown", _read_readme("huggingface_hub")
    yield from make_data(random.Random(0))


def format_row(name: str, text: str, tokenizers: Mapping[str, Counter]) -> str:
    """A row of the table: tokens per character."""
    weight = weigh_text(text)
    tokens = [*(count(text) for count in tokenizers.values()), weight.likely / 100, weight.most / 100]
    return f"| {name} | {' | '.join(f'{n / len(text):.3f}' for n in tokens)} |"


def main() -> None:
    argparse.ArgumentParser(
        description="Tokens per character of published tokenizers and of ours."
    ).parse_args()
    tokenizers = load_tokenizers()
    print(f"| | {' | '.join(tokenizers)} | likely | upper |", "|---" * (len(tokenizers) + 3) + "|", sep="\n")
    for name, text in make_texts():
        print(format_row(name, text, tokenizers))


if __name__ == "__main__":
    main()
