PYTHON ?= python3
VENV ?= .venv
# Space-separated, such as postgres://postgres@127.0.0.1/postgres mysql://root@127.0.0.1/test
TEST_DATABASE_URLS ?=
# The same, and sqlite:// can be one of them: on these, only what decides about an SMS is tried, and
# on a server what needs one, and the pages of staff.
CORE_DATABASE_URLS ?=
export ONCE
COMMA := ,

.PHONY: help
help:
	@echo "make demo         send one OTP through a local Valify, then serve the example site"
	@echo "make demo ONCE=1  the same, without serving"
	@echo "make install      install what the tests need"
	@echo "make test         run the tests, on SQLite and on each of TEST_DATABASE_URLS"
	@echo "make live         try an account with Valify itself, and send SMS"
	@echo "make lint         check style, types, imports, workflows and what a source package contains"
	@echo "make format       put the code into its style"
	@echo "make docs         build the documentation into build/docs"
	@echo "make messages     compile the Arabic texts"
	@echo "make openapi      write docs/openapi.yaml"
	@echo "make pictures     take the pictures of the documents, in Chromium"
	@echo "make clean        remove what the others made"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-%: $(VENV)/bin/python setup.cfg pyproject.toml
	$(VENV)/bin/python -m pip install --quiet --editable ".[$*]"
	@touch $@

.PHONY: demo
demo: $(VENV)/installed-example
	$(VENV)/bin/python example_project/demo.py

# A database's scheme names the extra with its driver.
POSTGRESQL := $(findstring postgres,$(TEST_DATABASE_URLS) $(CORE_DATABASE_URLS))
MARIADB := $(findstring mysql,$(TEST_DATABASE_URLS) $(CORE_DATABASE_URLS))
EXTRAS := test$(if $(POSTGRESQL),$(COMMA)postgresql)$(if $(MARIADB),$(COMMA)mariadb)
# Task queues are tried on PostgreSQL, where the machine has Redis and a RabbitMQ answers.
RABBITMQ := import socket; socket.create_connection(("127.0.0.1", 5672), 1)
BROKERS ?= $(shell command -v redis-server >/dev/null && $(PYTHON) -c '$(RABBITMQ)' 2>/dev/null \
	&& echo redis rabbitmq)
EXTRAS := $(EXTRAS)$(if $(and $(POSTGRESQL),$(BROKERS)),$(COMMA)engines)

# Empty: what is installed and shown is left out, with the browser.
PACKAGING ?= yes
# Empty where it is missing or cannot be driven: then its tests are left out.
CHROMIUM ?= $(shell command -v chromedriver >/dev/null && command -v chromium)
# The same; Debian has it where only root looks.
PGBOUNCER ?= $(shell PATH="$$PATH:/usr/sbin" command -v pgbouncer)
# The same; the tests that start servers of their own need it.
CLUSTERS ?= $(lastword $(wildcard /usr/lib/postgresql/*/bin/pg_basebackup))
# The same; the tests of hosts with wrong clocks need it.
FAKETIME ?= $(shell command -v faketime)

# What cannot be tried on SQLite, or has lines that do not run there.
SERVER_TESTS := benchmarks isolation locking migrations mistakes purge_benchmark statements
SERVER_TESTS := tests/servers tests/engines $(patsubst %,tests/test_%.py,$(SERVER_TESTS))
# What depends on Django, whatever the database.
PAGES := tests/test_neighbors.py tests/test_themes.py
PAGES := $(PAGES) $(if $(CHROMIUM),tests/browser/test_audit.py tests/browser/test_desk.py)
# The SQL of the pages of staff, and of the counts that limits go by.
DESK := admin attempt_page blocks export search summary tallies
DESK := $(patsubst %,tests/test_%.py,$(DESK))
# What decides about an SMS.
CORE := services verify limits idempotency verification_tokens retention statistics verify_api api
CORE := $(CORE) commands concurrency verify_concurrency queue
CORE := $(patsubst %,tests/test_%.py,$(CORE))
# It must not be read from a replica: the same tests behind a router, with an empty one.
ROUTED := $(CORE)
ROUTER := TEST_DATABASE_ROUTERS=tests.routers.DecisionsRouter

# Two for each core: many tests wait for a clock, a socket or a lock.
WORKERS ?= $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN))
# Some lines only run on one of the databases, so coverage is only measured where all of them are.
MEASURED := $(and $(POSTGRESQL),$(MARIADB),$(CHROMIUM),$(BROKERS),$(ROUTED))
WHOLE_SQLITE := $(if $(filter sqlite%,$(CORE_DATABASE_URLS)),,yes)
MEASURED := $(and $(WHOLE_SQLITE),$(PACKAGING),$(MEASURED))
RUN := $(VENV)/bin/$(if $(MEASURED),coverage run,python)
ARGUMENTS := -m pytest -n $(WORKERS)
PYTEST := $(RUN) $(ARGUMENTS)
UNMEASURED := $(VENV)/bin/python $(ARGUMENTS)
SQLITE := env -u DATABASE_URL
# On a server.
CHOSEN := not packaging$(if $(PGBOUNCER),, and not pgbouncer)$(if $(FAKETIME),, and not faketime)
CHOSEN := $(CHOSEN)$(if $(BROKERS),, and not engines)
CHOSEN := $(CHOSEN)$(if $(CLUSTERS),, and not clusters)

.PHONY: install
install: $(VENV)/installed-$(EXTRAS)

.PHONY: test
test: $(VENV)/installed-$(EXTRAS)
	$(if $(WHOLE_SQLITE),,@echo "make: sqlite:// is one of CORE_DATABASE_URLS: the rest is left out on it")
	$(if $(PACKAGING),,@echo "make: PACKAGING is empty: its tests and those of the browser are left out")
	$(if $(CHROMIUM),,@echo "make: CHROMIUM is empty (no chromium with chromedriver?): the browser tests are left out")
	$(if $(PGBOUNCER),,@echo "make: PGBOUNCER is empty (none here?): its tests are left out")
	$(if $(CLUSTERS),,@echo "make: CLUSTERS is empty (no PostgreSQL here?): the tests that start one are left out")
	$(if $(FAKETIME),,@echo "make: FAKETIME is empty (none here?): its tests are left out")
	$(if $(BROKERS),,@echo "make: no redis-server or no RabbitMQ, so task queues are not tried")
	$(if $(findstring engines,$(EXTRAS)),@$(VENV)/bin/python -m tests.engines.engines)
	rm -rf .coverage-scripts
	$(VENV)/bin/coverage erase
	$(if $(WHOLE_SQLITE),$(SQLITE) $(PYTEST) \
		$(if $(PACKAGING),$(if $(CHROMIUM),,-m "not browser"),-m "not packaging"))
	$(if $(and $(WHOLE_SQLITE),$(ROUTED)),$(SQLITE) $(ROUTER) $(PYTEST) $(ROUTED))
	set -e; for url in $(TEST_DATABASE_URLS); do \
		DATABASE_URL="$$url" $(PYTEST) -m "$(CHOSEN)"; \
		$(if $(ROUTED),DATABASE_URL="$$url" $(ROUTER) $(PYTEST) $(ROUTED);) \
	done
	$(if $(WHOLE_SQLITE),,$(SQLITE) $(UNMEASURED) $(CORE) $(PAGES))
	set -e; for url in $(filter-out sqlite%,$(CORE_DATABASE_URLS)); do \
		DATABASE_URL="$$url" $(PYTEST) -m "$(CHOSEN)" $(SERVER_TESTS); \
		DATABASE_URL="$$url" $(UNMEASURED) $(CORE) $(DESK); \
	done
	$(if $(and $(WHOLE_SQLITE),$(PACKAGING),$(CHROMIUM)),$(RUN) -m tests.browser.scripts)
	$(if $(MEASURED),$(VENV)/bin/coverage combine --quiet)
	$(if $(MEASURED),$(VENV)/bin/coverage report --fail-under=100)

# It sends SMS, so it has to be asked for; CONTRIBUTING.rst says what it needs.
.PHONY: live
live: $(VENV)/installed-$(EXTRAS)
	$(SQLITE) $(VENV)/bin/python -m pytest tests/live -m live -p no:randomly --capture no

# Schemas that come with the tool: nothing is fetched.
CHECK_SCHEMA = $(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.

.PHONY: lint
lint: $(VENV)/installed-$(EXTRAS)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy django_valify_otp tests example_project benchmarks noxfile.py
	$(VENV)/bin/lint-imports
	$(VENV)/bin/zizmor --offline --pedantic --quiet .
	$(CHECK_SCHEMA)github-workflows .github/workflows/*.yml
	$(CHECK_SCHEMA)dependabot .github/dependabot.yml
	$(CHECK_SCHEMA)github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(CHECK_SCHEMA)github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(CHECK_SCHEMA)citation-file-format CITATION.cff
	$(VENV)/bin/check-manifest --quiet --no-build-isolation

.PHONY: format
format: $(VENV)/installed-$(EXTRAS)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

.PHONY: messages
messages: $(VENV)/installed-$(EXTRAS)
	$(VENV)/bin/python -m tests.catalogues

# Of its own, so that nobody has to install the tests to read.
.PHONY: docs
docs: $(VENV)/installed-docs
	$(VENV)/bin/python -m sphinx -W --keep-going -n -q -b html docs build/docs
	@echo "build/docs/index.html"

.PHONY: openapi
openapi: $(VENV)/installed-$(EXTRAS)
	$(SQLITE) $(VENV)/bin/python example_project/manage.py spectacular --validate --fail-on-warn \
		--file docs/openapi.yaml

.PHONY: pictures
pictures: $(VENV)/installed-$(EXTRAS)
	mkdir -p docs/pictures
	$(SQLITE) PICTURES=$(CURDIR)/docs/pictures $(VENV)/bin/python -m pytest \
		tests/browser/test_pictures.py -k picture_of

.PHONY: clean
clean:
	rm -rf $(VENV) .nox .coverage .coverage.* .coverage-scripts build dist *.egg-info
	rm -rf .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -f example_project/*.sqlite3
