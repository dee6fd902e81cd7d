# The few commands a person types. Everything they need is installed by them.

PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.10 python3 2>/dev/null))
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: run test check unit bench peers oracle clean

run: $(VENV)/.run ## Set up and start the server with the embedded default voice
	$(BIN)/talkspurt serve $(ARGS)

test: $(VENV)/.dev peers oracle check unit ## Set up and pass the tests

check: $(VENV)/.dev ## Formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: $(VENV)/.dev ## The tests alone; ARGS go to pytest
	$(BIN)/pytest $(ARGS)

bench: $(VENV)/.run ## Measure this machine's phone line; ARGS go to `talkspurt bench line`
	$(BIN)/talkspurt bench line $(ARGS)

peers: ## Programs that the tests talk to, from Debian, when we may install them
	@sh .ci/peers

oracle: $(VENV)/.python ## The reference implementation, which answers our tests of parity
	@sh .ci/oracle $(abspath $(BIN)/python)

clean:
	rm -rf $(VENV) .oracle .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "Python 3.10, 3.11 or 3.12 is needed; none was found"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
		|| { echo "Python 3.10 to 3.12 is needed, $$($(PYTHON) --version) was found; set PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh .ci/debian python3-venv
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.run: $(VENV)/.python pyproject.toml constraints.txt
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[server,preview,bench,onnx]'
	touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[server,preview,bench,export,dev]'
	touch $@ $(VENV)/.run
