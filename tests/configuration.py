"""What a test changes in the settings of the app."""

from pytest_django import Settings


class Configure:
    """Sets keys of ``VALIFY_OTP`` until the test ends, and leaves the others as they are."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, **values: object) -> None:
        self._settings.VALIFY_OTP = {**self._settings.VALIFY_OTP, **values}
