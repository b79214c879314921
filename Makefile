# make run    everything from a bare checkout to a server in the foreground
# make test   everything from a bare checkout to the tests
# make lint   ruff and mypy
# make bench  the benchmarks; one of them with NAME=...
# make clean  removes what the others made
#
# make run PORT=8080 MODEL=key HOME_FOLDER=/path

PYTHON ?= python3
BIN := .venv/bin
HOME_FLAG := $(if $(HOME_FOLDER),--home $(HOME_FOLDER))
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat

.PHONY: run test lint bench clean

run: .venv/run.stamp
	@$(BIN)/agentctl $(HOME_FLAG) model-pull smollm2
	@exec $(BIN)/twistd -n --pidfile= llamaproxy $(HOME_FLAG) $(if $(PORT),--port $(PORT)) $(if $(MODEL),--model $(MODEL))

test: .venv/dev.stamp $(if $(shell command -v npm),.venv/node.stamp)
	@$(BIN)/agentctl $(HOME_FLAG) model-pull smollm2
	$(BIN)/trial $(or $(TESTS),tests)

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/bench.stamp
	$(BIN)/python -m benchmarks $(NAME)

clean:
	rm -rf .venv tests/clients/node/node_modules build dist *.egg-info _trial_temp* .mypy_cache .ruff_cache
	find llamaproxy tests twisted benchmarks -name __pycache__ -prune -exec rm -rf {} +
	rm -f twisted/plugins/dropin.cache

.venv/run.stamp: pyproject.toml setup.cfg | .venv
	$(INSTALL) -e .
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	$(INSTALL) -e '.[dev,clients]'
	@touch $@

# The JavaScript client libraries; their tests are skipped where there is no Node.js.
.venv/node.stamp: $(addprefix tests/clients/node/package,.json -lock.json) | .venv
	@npm ci --prefix tests/clients/node --no-audit --no-fund --silent && touch $@ || \
		echo "npm could not install the JavaScript client libraries; their tests are skipped"

.venv/bench.stamp: .venv/dev.stamp
	$(INSTALL) -e '.[bench]'
	@touch $@

.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "llamaproxy needs Python 3.11 or newer; say make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
