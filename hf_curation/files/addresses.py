"""Addresses of inputs go into plans, manifests, ids and logs: one that carries a secret is not taken.

Every store has a place of its own for keys (`HF_TOKEN`, the files and variables of its fsspec client), and from there
they reach no file of a run. The address of a page is the page's own and stays in its column as it came; where reports
and evidence show it, it is shown without user name and password.
"""

import re
from typing import Final

_USER_RE: Final = re.compile(r"//[^/?#\s]*@")
_WEB: Final = {"http", "https", "ftp", "sftp", "webdav", "webhdfs"}


def check_address(url: str) -> None:
    """Refuse an address with a user name, a password or a query in it; local paths and `hf://` are never refused.

    Raises:
        ValueError: does not repeat the secret.
    """
    for part in url.split("::"):  # fsspec's chains: zip://pages.jsonl::https://host/pages.zip
        scheme, found, rest = part.partition("://")
        if not found or scheme == "hf":  # whose @ stands before a revision
            continue
        place = rest.partition("/")[0].partition("?")[0].partition("#")[0]
        user, at, host = place.rpartition("@")
        # Azure writes container@account; a name before the @ is no secret there, what comes behind its colon is.
        if at and (scheme in _WEB or ":" in user):
            raise ValueError(
                f"the address of {host} carries a user name or a password, and would be written into plan and logs; "
                "leave them out, and give them to the store's client by its own settings"
            )
        if scheme in ("http", "https") and "?" in rest:
            raise ValueError(
                f"the address of {host} carries a query, a place for keys, and would be written into plan and logs; "
                "leave it out, or download the file first"
            )


def without_user(url: str) -> str:
    """Return the address of a page without user name and password."""
    return _USER_RE.sub("//", url, count=1) if "@" in url else url
