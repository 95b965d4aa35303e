"""What only a server can be asked; on another database than theirs, these tests are left out."""

from django.db import connection

ONLY_ON = {
    "test_ages.py": {"postgresql", "mysql"},
    "test_application_servers.py": {"postgresql", "mysql"},
    "test_async_views.py": {"postgresql", "mysql"},
    "test_audit_benchmark.py": {"postgresql"},
    "test_clocks.py": {"postgresql", "mysql"},
    "test_failover.py": {"postgresql"},
    "test_locked_users.py": {"postgresql", "mysql"},
    "test_lost_servers.py": {"postgresql"},
    "test_pgbouncer.py": {"postgresql"},
    "test_pool.py": {"postgresql"},
    "test_replica.py": {"postgresql"},
    "test_round_trip.py": {"postgresql"},
    "test_server_side_binding.py": {"postgresql"},
}
collect_ignore = [name for name, vendors in ONLY_ON.items() if connection.vendor not in vendors]
