"""Links from a page to a file of the repository that is no page, such as ARCHITECTURE.md, lead to the repository."""

from __future__ import annotations

import posixpath
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REPOSITORY = "https://github.com/millpond/millpond/blob/main/"
LINK = re.compile(r"\]\((\.\./[^)\s]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by mkdocs with the text of each page."""

    def absolute(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), link[1]))
        return link[0] if path.startswith("docs/") else f"]({REPOSITORY}{path})"

    return LINK.sub(absolute, markdown)
