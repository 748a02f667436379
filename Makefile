# Everything a newcomer needs: `make audit` for the first report, `make test` for the tests.
# Needs only python3 (3.11 to 3.14), git and make; uv is brought into .uv/ of this checkout.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
UV := .uv/bin/uv
# A Python that is on the machine serves; one is downloaded only where none from 3.11 to 3.14 is there.
export UV_PYTHON_PREFERENCE ?= system
RUN := $(UV) run --frozen --all-extras

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

audit: .venv/ready  ## run the ACLU's test on the embedded measurements and write the report
	$(RUN) countenance audit

test: .venv/ready .awscli/ready  ## run the tests
	$(RUN) pytest $(ARGS)

coverage: .venv/ready  ## fail unless the audit's own tests take every branch of audit/ (about a minute)
	$(RUN) coverage run -m pytest -q tests/audit
	$(RUN) coverage report --include='*/countenance/audit/*' --fail-under=100 --show-missing --skip-covered

check: .venv/ready  ## style, types, layers
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports

bench: .venv/ready  ## measure, and write bench.json
	$(RUN) python -m bench $(ARGS)

clean:  ## remove what the build made
	rm -rf .venv .awscli .uv .pytest_cache .mypy_cache .ruff_cache countenance-audit

.venv/ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --all-extras
	@touch $@

# The AWS CLI pins its own botocore, so it gets an environment of its own; where none can be had, its tests are skipped.
.awscli/ready: tests/service/awscli.txt | $(UV)
	@{ $(UV) venv --quiet --clear .awscli && $(UV) pip install --quiet --python .awscli/bin/python -r $< && touch $@; } \
		|| echo "no AWS CLI could be installed: its tests will be skipped"

# uv is a wheel with one binary in it, so fetching it needs neither pip nor venv on the machine.
$(UV):
	python3 scripts/bring_uv.py .uv

.PHONY: help audit test coverage check bench clean
