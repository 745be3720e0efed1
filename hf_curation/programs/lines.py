r"""What a line is, in one place: prompt builder, executor and reports all number lines through this module.

`\r\n` and lone `\r` become `\n`; `\n` is then the only separator. Form feed, NEL, U+2028 and the other
characters at which `str.splitlines` breaks are ordinary characters inside a line. UltraX numbers by `split("\n")` and
executes by `splitlines()`: one form feed, and it deletes the line above the advertisement.
"""


def normalize_newlines(text: str) -> str:
    r"""Return `text` with every `\r\n` and lone `\r` replaced by `\n`. The same object when it holds no `\r`."""
    if "\r" not in text:
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_lines(text: str) -> list[str]:
    """Return the lines of `text` without their separators; a text has one line more than it has newlines."""
    return normalize_newlines(text).split("\n")
