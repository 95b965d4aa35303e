"""The tests on each supported Python and Django, on the oldest with the lowest versions of all.

Each row has every test on another database, the first one also what needs no server, and measures
what is run. On the databases of other rows, it tries what decides about an SMS and what staff see.
"""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True

POSTGRESQL = "postgres://postgres@127.0.0.1:5432/postgres"
MARIADB = "mysql://root@127.0.0.1:3306/test"
# Hosts, pools and clocks of their own are tried on the oldest.
NO_HOSTS = ["PGBOUNCER=", "CLUSTERS=", "FAKETIME="]
ON_SQLITE = [
    f"CORE_DATABASE_URLS={POSTGRESQL} {MARIADB}",
    "CHROMIUM=chromium",
    "PGBOUNCER=pgbouncer",
    "CLUSTERS=pg_basebackup",
    "FAKETIME=faketime",
]
ON_MARIADB = [
    f"TEST_DATABASE_URLS={MARIADB}",
    "CORE_DATABASE_URLS=sqlite://",
    "CHROMIUM=",
    "ROUTED=",
    *NO_HOSTS,
]
ON_POSTGRESQL = [
    f"TEST_DATABASE_URLS={POSTGRESQL}",
    f"CORE_DATABASE_URLS=sqlite:// {MARIADB}",
    "CHROMIUM=chromium",
    *NO_HOSTS,
]
OLDEST = ("3.11", "5.2", ON_SQLITE)
BETWEEN = ("3.12", "6.0", ON_MARIADB)
NEWEST = ("3.13", "6.1", ON_POSTGRESQL)


@nox.session
@nox.parametrize(
    ["python", "django", "variables"],
    [OLDEST, BETWEEN, NEWEST],
    ids=["oldest", "between", "newest"],
)
def test(session: nox.Session, django: str, variables: list[str]) -> None:
    """Run `make test`; what a row tries runs or fails."""
    arguments = [f"VENV={session.virtualenv.location}", "BROKERS=redis rabbitmq", *variables]
    session.install(f"django~={django}.0")
    session.run_install("make", "install", *arguments, external=True)
    if django == "5.2":
        # Last, as tools of the tests want newer ones.
        session.install("--no-deps", "--requirement", "constraints/lowest.txt")
    # Else each process of the first run compiles all of them.
    session.run_install("python", "-m", "pytest", "--collect-only", "--quiet", silent=True)
    session.run("make", "test", *arguments, external=True)
