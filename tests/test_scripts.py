"""How it is measured which lines of the example's script run."""

from tests.browser.scripts import lines_never_run, reached

TEXT = "one();\nif (two) {\n  three();\n}\n"
INNER = TEXT.index("{"), TEXT.index("}") + 1


def blocks(inner_count: int) -> list[dict[str, object]]:
    """Return what Chromium says of the text: its whole ran, its block so often."""
    whole = {"startOffset": 0, "endOffset": len(TEXT), "count": 1}
    inner = {"startOffset": INNER[0], "endOffset": INNER[1], "count": inner_count}
    return [{"ranges": [inner]}, {"ranges": [whole]}]


def test_lines_that_never_ran() -> None:
    assert lines_never_run(TEXT, set()) == ["1: one();", "2: if (two) {", "3:   three();"]


def test_a_block_that_never_ran() -> None:
    assert lines_never_run(TEXT, reached(blocks(0))) == ["2: if (two) {", "3:   three();"]


def test_a_block_that_ran() -> None:
    assert lines_never_run(TEXT, reached(blocks(2))) == []
