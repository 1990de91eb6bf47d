# The commands of Confab; `make` alone lists them. What takes more than a line is in bin/.
# HOST=, PORT=, WORKERS= and PYTHON= may be given behind any of them, or be set in the environment.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run serve test torture bench check deps lint types js lock clean venv-dev node_modules

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  PORT=8000 HOST=0.0.0.0 WORKERS=2 PYTHON=python3.12 may follow any of them.'

run: ## install what is pinned and serve http://127.0.0.1:5000
	@bin/venv run
	@bin/run

serve: ## the same with gunicorn and eventlet, for real use
	@bin/venv run
	@bin/serve

test: deps lint types js ## everything: JavaScript, Python, browser, several servers
	bin/with-node .venv/bin/python -m pytest --durations=10

torture: deps venv-dev node_modules ## faults of every kind while people talk; ends with a table (SEED=, ONLY=F4,F9, REPEAT=, FULL=1, SOAK=30, ENGINE=off)
	bin/with-node .venv/bin/python -m tests.torture

bench: deps venv-dev ## what a message costs here, beside Node socket.io (ONLY=W1000,B, PEERS=confab,node, REPS=1, QUICK=1), or beside another commit (BEFORE=v1.0, PAIRS=15)
	bin/with-node .venv/bin/python -m bench

check: lint types js ## what needs no server and no browser, in less than a minute
	bin/with-node .venv/bin/python -m pytest -q -m 'not browser and not servers'

deps: ## install the Debian packages that the tests need
	@bin/deps

lint: venv-dev node_modules
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	bin/with-node node_modules/.bin/prettier --check .
	bin/with-node node_modules/.bin/eslint .

types: venv-dev node_modules
	.venv/bin/python -m mypy
	bin/with-node node_modules/.bin/tsc -p .

js: node_modules
	bin/with-node node --test --test-reporter=spec tests/js/*.test.mjs

lock: ## pin the newest allowed versions again, in requirements/
	@bin/venv run
	@bin/lock

clean: ## remove what make made; instance/, with the messages, stays
	rm -rf .venv .make node_modules bench/peers/node/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

venv-dev:
	@bin/venv dev

node_modules: venv-dev
	@bin/with-node bin/node-modules
