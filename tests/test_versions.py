"""The lowest versions that are tested are those that setup.cfg allows."""

import re
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = Path(__file__).parent.parent
# What sites install. The other extras are tools, and task queues that are tried at one version.
EXTRAS = ["example", "mariadb", "openapi", "postgresql"]
# psycopg demands its own version of it.
BY_PSYCOPG = "psycopg-binary"


def setup_cfg() -> RawConfigParser:
    config = RawConfigParser()
    config.read(PROJECT / "setup.cfg", "utf-8")
    return config


def requirements(text: str) -> Iterator[Requirement]:
    for line in text.splitlines():
        # An extra that includes another has a reference to it.
        if line and not line.startswith(("#", "%")):
            yield Requirement(line)


def versions(text: str, operator: str) -> dict[str, tuple[Version, str]]:
    """Return the version and the condition of each requirement, which has this operator alone."""
    found = {}
    for requirement in requirements(text):
        [specifier] = requirement.specifier
        assert specifier.operator == operator, requirement
        found[requirement.name] = (Version(specifier.version), str(requirement.marker or ""))
    return found


def lowest() -> dict[str, tuple[Version, str]]:
    return versions((PROJECT / "constraints" / "lowest.txt").read_text("utf-8"), "==")


def test_the_lowest_versions_are_those_of_setup_cfg() -> None:
    config = setup_cfg()
    texts = [config["options"]["install_requires"]]
    texts += [config["options.extras_require"][extra] for extra in EXTRAS]
    pinned = lowest()
    assert pinned.pop(BY_PSYCOPG) == pinned["psycopg"]
    assert pinned == versions("\n".join(texts), ">=")


def test_the_matrix_has_the_versions_of_the_classifiers_and_begins_with_the_lowest() -> None:
    config = setup_cfg()
    rows = (PROJECT / "noxfile.py").read_text("utf-8")
    matrix = re.findall(r'^[A-Z]+ = \("([\d.]+)", "([\d.]+)", ', rows, re.MULTILINE)
    claims = config["metadata"]["classifiers"]
    pythons = re.findall(r"Python :: ([\d.]+)$", claims, re.MULTILINE)
    djangos = re.findall(r"Django :: ([\d.]+)$", claims, re.MULTILINE)
    assert matrix == list(zip(pythons, djangos, strict=True))
    assert config["options"]["python_requires"] == f">={pythons[0]}"
    assert lowest()["django"][0] == Version(djangos[0])
