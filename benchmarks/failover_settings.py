"""The site of the benchmark of a failover: its database has two hosts, one of which is written to.

``FAILOVER_PORTS`` has the ports of both, separated by a comma.
"""

import os

from benchmarks.cluster import DATABASE, USER
from benchmarks.settings import *  # noqa: F403 (as Django's documentation has it)

PORTS = os.environ.get("FAILOVER_PORTS", "0,0")
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DATABASE,
        "USER": USER,
        "HOST": ",".join(["127.0.0.1"] * len(PORTS.split(","))),
        "PORT": PORTS,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "target_session_attrs": "read-write",
            # Seconds for each host; milliseconds for a host that acknowledges nothing.
            "connect_timeout": 2,
            "tcp_user_timeout": 5000,
        },
    }
}
