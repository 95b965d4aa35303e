"""Create the database of a benchmark."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.test.utils import get_runner


@contextmanager
def tables() -> Iterator[None]:
    """Create a test database, and remove it at the end."""
    runner = get_runner(settings)(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    yield
    runner.teardown_databases(databases)
