r"""Quoted strings of programs, both conventions.

ProX's refiners were trained on strings that are not escaped: `"` to `"`, whatever stands between. So a double-quoted
ProX string means its characters as they are, and only the executor, which knows the text, falls back to reading
backslashes as escapes (a model that was not told writes `\"` now and then). Everything else, and what ProX cannot
say (a quote before a comma or a parenthesis, a line break), is a Python-like literal with `\\ \' \" \n \r \t`; any
other backslash stands for itself.
"""

import re
from typing import Final

_ESCAPE: Final = re.compile(r"\\([\\'\"nrt])")
_DECODED: Final = {"n": "\n", "r": "\r", "t": "\t"}
_ENCODED: Final = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r"})


def decode_escapes(content: str) -> str:
    r"""Return `content` with its backslash escapes decoded.

    >>> decode_escapes(r"it\'s \d")
    "it's \\d"
    """
    if "\\" not in content:
        return content
    return _ESCAPE.sub(lambda m: _DECODED.get(m[1], m[1]), content)


def quote(content: str) -> str:
    r"""Return `content` as a single-quoted literal; `decode_escapes` undoes it.

    >>> print(quote("it's"))
    'it\'s'
    """
    return f"'{content.translate(_ENCODED)}'"
