# make run        everything from a bare checkout to a server in the foreground
# make test       everything from a bare checkout to the tests, but for those of the apps
# make test-apps  the coding apps and Home Assistant, really run: installs two gigabytes of them into tests/apps
# make lint       ruff and mypy
# make bench      the benchmarks; one of them with NAME=...
# make soak       an hour of steady work, and whether memory, descriptors and threads stay flat; shorter with MINUTES=...
# make chaos-nodes  three servers on one PostgreSQL, hurt while people talk; more with ROUNDS=...
# make chaos      a million odd requests, 100 kills, 200 steps of the clock; more with CONNECTIONS=, ROUNDS=, STEPS=...
# make clean      removes what the others made
#
# make run PORT=8080 MODEL=key HOME_FOLDER=/path

PYTHON ?= python3
BIN := .venv/bin
# A .venv that was begun and not finished, or whose Python has gone since, is made again.
GONE := $(shell if [ -e .venv/run.stamp ]; then [ -x $(BIN)/python ]; elif [ -e .venv ]; then \
	$(BIN)/python -m pip --version; fi >/dev/null 2>&1 || rm -rf .venv)

# What the tests use of npm: client libraries and MCP servers.
NODE_FOLDERS := tests/clients/node tests/pages tests/tools/mcp/node
HOME_FLAG := $(if $(HOME_FOLDER),--home $(HOME_FOLDER))
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat

# What make test runs: every room of tests/ except tests/apps.
ROOMS := $(patsubst tests/%/__init__.py,tests.%,$(filter-out tests/apps/%,$(wildcard tests/*/__init__.py))) \
	$(patsubst tests/%.py,tests.%,$(wildcard tests/test_*.py))

.PHONY: run test test-apps lint bench soak chaos chaos-nodes clean

run: .venv/run.stamp
	@$(if $(MODEL),,$(BIN)/agentctl $(HOME_FLAG) setup --once || true)
	@exec $(BIN)/llamaproxy $(HOME_FLAG) $(if $(PORT),--port $(PORT)) $(if $(MODEL),--model $(MODEL))

test: .venv/dev.stamp $(if $(shell command -v npm),.venv/node.stamp)
	@$(BIN)/agentctl $(HOME_FLAG) model-pull smollm2
	$(BIN)/trial $(or $(TESTS),$(ROOMS))

test-apps: .venv/dev.stamp $(if $(shell command -v npm),.venv/node-apps.stamp) .venv/python-apps.stamp .venv/home-assistant.stamp
	$(BIN)/trial $(or $(TESTS),tests.apps)

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/bench.stamp
	$(BIN)/python -m benchmarks $(NAME)

soak: .venv/dev.stamp
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),60) --rate $(or $(RATE),200)

chaos-nodes: .venv/dev.stamp
	$(BIN)/python -m chaos.nodes $(or $(ROUNDS),300)

chaos: .venv/dev.stamp
	$(BIN)/python -m chaos.fuzz --connections $(or $(CONNECTIONS),250000)
	$(BIN)/python -m chaos.kills --rounds $(or $(ROUNDS),100)
	$(BIN)/python -m chaos.clocks --steps $(or $(STEPS),200)
	$(BIN)/python -m chaos.phones --rounds $(or $(ROUNDS),100)
	$(BIN)/python -m chaos.phones --rounds $(or $(ROUNDS),100) --store postgres

clean:
	rm -rf .venv $(addsuffix /node_modules,$(NODE_FOLDERS)) tests/apps/node_modules tests/apps/.venv* build dist *.egg-info _trial_temp* .mypy_cache .ruff_cache
	find llamaproxy tests twisted benchmarks -name __pycache__ -prune -exec rm -rf {} +
	rm -f twisted/plugins/dropin.cache

.venv/run.stamp: pyproject.toml setup.cfg | $(BIN)/pip
	$(INSTALL) -e .
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	$(INSTALL) -e '.[dev,clients]'
	@touch $@

# The JavaScript client libraries and MCP servers; their tests are skipped where there is no Node.js.
.venv/node.stamp: $(foreach folder,$(NODE_FOLDERS),$(addprefix $(folder)/package,.json -lock.json)) | $(BIN)/pip
	@for folder in $(NODE_FOLDERS); do npm ci --prefix $$folder --no-audit --no-fund --silent || exit 1; done && touch $@ || \
		echo "npm could not install the JavaScript client libraries and MCP servers; their tests are skipped"

# The coding apps; the tests of one that is not there are skipped. npm ci would refuse a lock without the parts that some
# registries lack, those for other machines.
.venv/node-apps.stamp: $(addprefix tests/apps/package,.json -lock.json) | $(BIN)/pip
	@npm install --prefix tests/apps --no-save --no-audit --no-fund --silent && touch $@ || \
		echo "npm could not install the coding apps; their tests are skipped"

.venv/python-apps.stamp: tests/apps/requirements.txt | $(BIN)/pip
	@$(PYTHON) -m venv tests/apps/.venv && \
		tests/apps/.venv/bin/pip install --quiet --disable-pip-version-check -r $< && touch $@ || \
		echo "pip could not install aider; its tests are skipped"

.venv/bench.stamp: .venv/dev.stamp
	$(INSTALL) -e '.[bench]'
	@touch $@

# Home Assistant runs on one version of Python only.
.venv/home-assistant.stamp: tests/apps/home-assistant.txt | $(BIN)/pip
	@for python in python3.13 $$HOME/.pyenv/versions/3.13.*/bin/python; do $$python -c "" 2>/dev/null && break; done; \
		$$python -m venv tests/apps/.venv-home-assistant 2>/dev/null && tests/apps/.venv-home-assistant/bin/pip install \
			--quiet --disable-pip-version-check --no-deps -r $< && touch $@ || \
		{ rm -rf tests/apps/.venv-home-assistant; \
			echo "Home Assistant could not be installed, for which Python 3.13 is needed; its tests are skipped"; }

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "llamaproxy needs Python 3.11 or newer; say make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "Python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
