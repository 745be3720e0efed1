"""The alphabet of byte-level BPE: every byte has a printable character, so that a token is a plain string.

GPT-2's table, which all byte-level tokenizers use: bytes that are printable in Latin-1 stand for themselves, the
other 68 get the characters from U+0100 on, so that a space is `Ġ` and a line feed is `Ċ`.
"""

from functools import cache

SPACE = "Ġ"
NUM_BYTES = 256


@cache
def byte_chars() -> tuple[str, ...]:
    """Return the character of each byte, 256 of them."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(NUM_BYTES, 2 * NUM_BYTES))
    return tuple(chr(byte) if byte in printable else chr(next(others)) for byte in range(NUM_BYTES))


@cache
def _bytes_of_chars() -> dict[str, int]:
    return {char: byte for byte, char in enumerate(byte_chars())}


def token_of(text: str) -> str:
    """Return the token string that stands for the UTF-8 bytes of a text."""
    chars = byte_chars()
    return "".join(chars[byte] for byte in text.encode("utf-8", "surrogatepass"))


def is_byte_level(token: str) -> bool:
    """Return whether every character of a token string stands for a byte (special tokens may hold others)."""
    table = _bytes_of_chars()
    return all(char in table for char in token)


def bytes_of(token: str) -> bytes:
    """Return the bytes that a token string stands for; a KeyError means that it is not byte-level."""
    table = _bytes_of_chars()
    return bytes(table[char] for char in token)


def text_of(token: str) -> str | None:
    """Return the text that a token stands for, or None where its bytes are no complete UTF-8."""
    try:
        return bytes_of(token).decode("utf-8")
    except (KeyError, UnicodeDecodeError):
        return None
