"""The tests on each supported Python, with the newest Django that it is claimed for."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True

POSTGRESQL = "postgres://postgres@127.0.0.1:5432/postgres"
MARIADB = "mysql://root@127.0.0.1:3306/test"
OLDEST = ("3.11", "5.2", f"{POSTGRESQL} {MARIADB}")
BETWEEN = ("3.12", "6.0", "")
NEWEST = ("3.13", "6.1", f"{POSTGRESQL} {MARIADB}")
# A router's decisions do not depend on the version.
UNROUTED = {"6.0", "6.1"}
# The oldest that works with the oldest Django; newer Djangos need newer ones.
OLDEST_DRF = "3.15.0"


@nox.session
@nox.parametrize(
    ["python", "django", "databases"],
    [OLDEST, BETWEEN, NEWEST],
    ids=["oldest", "between", "newest"],
)
def test(session: nox.Session, django: str, databases: str) -> None:
    """Run `make test` on SQLite and the databases; browser tests run or fail."""
    session.install(f"django~={django}.0")
    if django == "5.2":
        session.install(f"djangorestframework=={OLDEST_DRF}")
    session.run(
        "make",
        "test",
        f"VENV={session.virtualenv.location}",
        f"TEST_DATABASE_URLS={databases}",
        "CHROMIUM=chromium",
        "PGBOUNCER=pgbouncer",
        "CLUSTERS=pg_basebackup",
        "FAKETIME=faketime",
        "BROKERS=redis rabbitmq",
        *(["ROUTED="] if django in UNROUTED else []),
        external=True,
    )
