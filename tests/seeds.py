"""The seeds of the tests that choose at random."""

import os
import random


def seed_of(variable: str, *, otherwise: str = "20") -> str:
    """Return the seed that the environment gives, where ``fresh`` stands for a new one."""
    given = os.environ.get(variable, otherwise)
    if given == "fresh":
        return str(random.SystemRandom().randrange(10**9))
    return given
