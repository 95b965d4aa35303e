"""Sites with a task queue use PostgreSQL; on another database their tests are left out."""

from django.db import connection

collect_ignore = [] if connection.vendor == "postgresql" else ["test_engines.py"]
