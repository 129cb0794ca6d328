"""What mkdocs does not do by itself for the site of documents."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

REPOSITORY = "https://github.com/millpond/millpond/blob/main/"
LINK = re.compile(r"\]\((\.\./[^)\s]+)\)")
FILE = re.compile(r"^<!-- (file|append): (\S+) -->\n```(\w+)$", re.MULTILINE)


def on_config(config: Any) -> None:
    """A page that the navigation does not name comes last among the guides."""
    folder = Path(config.docs_dir)
    pages = sorted(page.relative_to(folder).as_posix() for page in folder.glob("**/*.md"))
    named = set(pages_in(config.nav))
    guides = next(entry["Guides"] for entry in config.nav if "Guides" in entry)
    guides.extend(page for page in pages if page not in named)


def pages_in(navigation: Any) -> Iterator[str]:
    """The pages that a part of the navigation names."""
    if isinstance(navigation, str):
        yield navigation
        return
    for part in navigation.values() if isinstance(navigation, dict) else navigation:
        yield from pages_in(part)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Blocks that are files get a title; links to what is no page, such as ARCHITECTURE.md, lead to the repository."""

    def titled(block: re.Match[str]) -> str:
        action, name, language = block.groups()
        return f'```{language} title="{name}{" (goes on)" if action == "append" else ""}"'

    def absolute(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), link[1]))
        return link[0] if path.startswith("docs/") else f"]({REPOSITORY}{path})"

    return LINK.sub(absolute, FILE.sub(titled, markdown))
