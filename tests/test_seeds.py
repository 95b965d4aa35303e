"""A run is repeatable, unless a fresh seed is asked for."""

import pytest

from tests.seeds import seed_of


def test_a_seed_is_fixed_given_or_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_SEED", raising=False)
    assert seed_of("SOME_SEED") == "20"
    assert seed_of("SOME_SEED", otherwise="9") == "9"
    monkeypatch.setenv("SOME_SEED", "7")
    assert seed_of("SOME_SEED") == "7"
    monkeypatch.setenv("SOME_SEED", "fresh")
    assert len({seed_of("SOME_SEED") for _ in range(3)}) > 1
