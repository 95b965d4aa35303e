"""Read the documents of the project: their code blocks and their tables."""

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parent.parent
DOCS = PROJECT / "docs"
BLOCK = re.compile(
    r"^( *)\.\. code-block:: (\w+)\n(?:\1   :caption: (\S+)\n)?\n((?:\1   .*\n|\n)+)", re.MULTILINE
)


class Block(NamedTuple):
    """A code block: its language, the file that it is said to be, and what is in it."""

    language: str
    caption: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Return what follows each prompt, with the lines that go on without one."""
        return [command.strip() for command in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]]


def read(name: str) -> str:
    """Return the text of a document."""
    return (PROJECT / name).read_text("utf-8")


def blocks_of(name: str) -> list[Block]:
    """Return the code blocks that readers see, in their order."""
    found = BLOCK.findall(read(name))
    return [
        Block(language, caption, textwrap.dedent(text).strip("\n") + "\n")
        for _, language, caption, text in found
    ]


def rows_of(text: str, *, first: str) -> list[str]:
    """Return the lines of tables that begin with a match of ``first``."""
    return re.findall(rf"^{first}.*$", text, re.MULTILINE)
