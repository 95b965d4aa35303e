"""Read the documents of the project: their code blocks and their tables."""

import re
import shlex
import textwrap
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parent.parent
DOCS = PROJECT / "docs"
# The file is the last that the line before the block names, if that ends with a colon.
BLOCK = re.compile(
    r"^(?:.*``([\w/]+\.\w+)``.*:\n\n)?( *)\.\. code-block:: (\w+)\n\n((?:\2   .*\n|\n)+)",
    re.MULTILINE,
)


class Block(NamedTuple):
    """A code block: the file that it is said to be, its language, and what is in it."""

    file: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Return the commands of a shell, each of which may take several lines."""
        commands, begun = [], ""
        for line in self.text.splitlines() if self.language == "sh" else ():
            begun += line
            if is_whole(begun):
                commands.append(begun)
                begun = ""
            else:
                begun += "\n"
        assert not begun, begun
        return commands


def is_whole(command: str) -> bool:
    """Say whether a shell would run the command, or wait for its next line."""
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


def read(name: str) -> str:
    """Return the text of a document."""
    return (PROJECT / name).read_text("utf-8")


def blocks_of(name: str) -> list[Block]:
    """Return the code blocks that readers see, in their order."""
    found = BLOCK.findall(read(name))
    return [
        Block(file, language, textwrap.dedent(text).strip("\n") + "\n")
        for file, _, language, text in found
    ]


def rows_of(text: str, *, first: str) -> list[str]:
    """Return the lines of tables that begin with a match of ``first``."""
    return re.findall(rf"^{first}.*$", text, re.MULTILINE)
