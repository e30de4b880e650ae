# One command each. A bare Debian 12 needs nothing beforehand but make itself (`apt-get install make`);
# without it, `sh deploy/bootstrap.sh run` does the same as `make run`.
.PHONY: run test slow check bench requirements docs wheel reset clean

python = .venv/bin/python
bin = .venv/bin

# Installs what is missing, starts everything, prints addresses and sign-ins. Ctrl-C stops it.
run:
	@exec sh deploy/bootstrap.sh run $(UP)

# All checks and all tests, browser included.
test: check
	@$(python) -m pytest $(TESTS)

# What takes too long for every change: 200,000 events while everything is killed. CI runs a small sample of it.
slow:
	@sh deploy/bootstrap.sh test
	@$(python) -m pytest -m slow $(TESTS)

# Format, lint, types, layers, migrations, our own lints, templates, front end.
check:
	@sh deploy/bootstrap.sh test
	@sh deploy/check.sh

# One benchmark: make bench NAME=decide, QUICK=1 for a short one. Without NAME all of them.
bench:
	@sh deploy/bootstrap.sh bench
	@sh deploy/bench.sh "$(NAME)"

# How many requirements are proven, per area; FORMAT=json for one line.
requirements:
	@sh deploy/bootstrap.sh test
	@$(python) -m tests.requirements $(if $(FORMAT),--format $(FORMAT))

# The documents as pages in build/docs, with every link checked.
docs:
	@sh deploy/bootstrap.sh test
	@$(python) deploy/docs.py

# dist/gatehouse-*.whl, front end included; installed, it gives `gatehouse up`.
wheel:
	@sh deploy/bootstrap.sh build
	@rm -rf build/lib build/bdist.*
	@$(python) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/gatehouse-*.whl

# Deletes this machine's data, after naming it and asking.
reset:
	@sh deploy/bootstrap.sh build
	@exec $(bin)/gatehouse reset $(if $(YES),--yes)

# Deletes what was built and installed here; data and sources stay.
clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf frontend/node_modules src/gatehouse/cloud/static/dist src/gatehouse/lab/static/dist src/*.egg-info
