"""The host as MeCo's published data preparation cuts it out, faults included.

For comparing a run with the paper's, and for showing what the strict canonicaliser changes. Not for new data: user
names, passwords, ports, queries and newlines all pass into the prefix.
"""

import re

_SCHEME = re.compile("https?://")


def reference_host(url: str) -> str:
    """Delete every `http://` and `https://` from `url` and return what comes before the first `/`.

    >>> reference_host("http://user:s3cret@Host.com:8080/p")
    'user:s3cret@Host.com:8080'

    Raises:
        TypeError: `url` is no text; a document without a URL killed the reference's worker too.
    """
    return _SCHEME.sub("", url).partition("/")[0]
