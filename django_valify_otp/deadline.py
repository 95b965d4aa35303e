"""Limit the time of an attempt or a try."""

import time


class Deadline:
    """The moment by which a whole attempt or try must end, tokens and repeats included."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, which are negative after the deadline."""
        return self._at - time.monotonic()

    def limit(self, seconds: float) -> float:
        """Return ``seconds``, or the seconds left if fewer. Raise ``TimeoutError`` if none are."""
        remaining = self.remaining()
        if remaining <= 0:
            raise TimeoutError("deadline")
        return min(seconds, remaining)
