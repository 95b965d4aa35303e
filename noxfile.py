"""The tests on each supported Python, with the newest Django that it is claimed for.

The first row has everything on everything, and is measured. In the others is what depends on the
versions: the admin in a browser, the queues, and the SQL of what decides about an SMS.
"""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True

DATABASES = "postgres://postgres@127.0.0.1:5432/postgres mysql://root@127.0.0.1:3306/test"
EVERYTHING = [f"TEST_DATABASE_URLS={DATABASES}", "CHROMIUM=chromium"]
SQLITE = ["CHROMIUM=", "ROUTED="]
CORE = [f"CORE_DATABASE_URLS={DATABASES}", "CHROMIUM=chromium", "ROUTED="]
# The oldest that works with the oldest Django; newer Djangos need newer ones.
OLDEST_DRF = "3.15.0"


@nox.session
@nox.parametrize(
    ["python", "django", "variables"],
    [("3.11", "5.2", EVERYTHING), ("3.12", "6.0", SQLITE), ("3.13", "6.1", CORE)],
    ids=["oldest", "between", "newest"],
)
def test(session: nox.Session, django: str, variables: list[str]) -> None:
    """Run `make test`; what a row tries runs or fails."""
    session.install(f"django~={django}.0")
    if django == "5.2":
        session.install(f"djangorestframework=={OLDEST_DRF}")
    arguments = [
        f"VENV={session.virtualenv.location}",
        "PGBOUNCER=pgbouncer",
        "CLUSTERS=pg_basebackup",
        "FAKETIME=faketime",
        "BROKERS=redis rabbitmq",
        *variables,
    ]
    session.run_install("make", "install", *arguments, external=True)
    session.run("make", "test", *arguments, external=True)
