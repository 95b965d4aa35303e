"""The tests on each supported Python and Django, on the oldest with the lowest versions of all.

The first row has everything on everything, and is measured. In the others is what depends on the
versions: the admin in a browser, the queues, and the SQL of what decides about an SMS.
"""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True

DATABASES = "postgres://postgres@127.0.0.1:5432/postgres mysql://root@127.0.0.1:3306/test"
EVERYTHING = [f"TEST_DATABASE_URLS={DATABASES}", "CHROMIUM=chromium"]
SQLITE = ["PACKAGING=", "CHROMIUM=", "ROUTED="]
CORE = [f"CORE_DATABASE_URLS={DATABASES}", "CHROMIUM=chromium", "ROUTED="]
OLDEST = ("3.11", "5.2", EVERYTHING)
BETWEEN = ("3.12", "6.0", SQLITE)
NEWEST = ("3.13", "6.1", CORE)


@nox.session
@nox.parametrize(
    ["python", "django", "variables"],
    [OLDEST, BETWEEN, NEWEST],
    ids=["oldest", "between", "newest"],
)
def test(session: nox.Session, django: str, variables: list[str]) -> None:
    """Run `make test`; what a row tries runs or fails."""
    arguments = [
        f"VENV={session.virtualenv.location}",
        "PGBOUNCER=pgbouncer",
        "CLUSTERS=pg_basebackup",
        "FAKETIME=faketime",
        "BROKERS=redis rabbitmq",
        *variables,
    ]
    session.install(f"django~={django}.0")
    session.run("make", "install", *arguments, external=True)
    if django == "5.2":
        # Last, as tools of the tests want newer ones.
        session.install("--no-deps", "--requirement", "constraints/lowest.txt")
    session.run("make", "test", *arguments, external=True)
