PYTHON ?= python3
VENV ?= .venv
# Space-separated, such as postgres://postgres@127.0.0.1/postgres mysql://root@127.0.0.1/test
TEST_DATABASE_URLS ?=
export ONCE TEST_DATABASE_URLS
COMMA := ,

.PHONY: help
help:
	@echo "make demo         send one OTP through a local Valify, then serve the example site"
	@echo "make demo ONCE=1  the same, without serving"
	@echo "make test         read and test the code, on SQLite and on each of TEST_DATABASE_URLS"
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
EXTRAS := test$(if $(findstring postgres,$(TEST_DATABASE_URLS)),$(COMMA)postgresql)
EXTRAS := $(EXTRAS)$(if $(findstring mysql,$(TEST_DATABASE_URLS)),$(COMMA)mariadb)

# Empty where it is missing or cannot be driven: then its tests are left out.
CHROMIUM ?= $(shell command -v chromedriver >/dev/null && command -v chromium)

DATABASES := $(addprefix database-,$(shell seq $(words $(TEST_DATABASE_URLS))))

# Its parts can run at once: make -j4 --output-sync test
.PHONY: test
test: sqlite packaging $(DATABASES)
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report --fail-under=100 $(if $(CHROMIUM),,--omit="tests/browser/*")

.PHONY: read
read: $(VENV)/installed-$(EXTRAS)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy django_valify_otp tests example_project benchmarks
	$(VENV)/bin/coverage erase

.PHONY: sqlite
sqlite: read
	env -u DATABASE_URL $(VENV)/bin/coverage run -m pytest -m "not packaging"

.PHONY: packaging
packaging: read
	$(if $(CHROMIUM),,@echo "make: no chromium with chromedriver, so the browser tests are left out")
	env -u DATABASE_URL $(VENV)/bin/coverage run -m pytest -m "packaging$(if $(CHROMIUM),, and not browser)"

database-%: read
	DATABASE_URL='$(word $*,$(TEST_DATABASE_URLS))' $(VENV)/bin/python -m pytest -m "not packaging"

.PHONY: clean
clean:
	rm -rf $(VENV) .coverage .coverage.* .mypy_cache .ruff_cache build dist *.egg-info
	rm -f example_project/*.sqlite3
