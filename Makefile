# The commands of Confab; `make` alone lists them. Longer ones are scripts in bin/.
# HOST=, PORT=, WORKERS= and PYTHON= can follow any of them, or be set in the environment.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run serve install upgrade test browsers torture bench demo check deps lint types js lock clean venv-dev node_modules

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  PORT=8000 HOST=0.0.0.0 WORKERS=2 PYTHON=python3.12 can follow any of them.'

run: ## install the pinned packages and serve http://127.0.0.1:5000
	@bin/venv run
	@bin/run

serve: ## the same with gunicorn and eventlet, for production
	@bin/venv run
	@bin/serve

install: ## install the pinned packages, and start nothing
	@bin/venv run

upgrade: ## after an update of the files: install the packages, migrate the database, reload the running gunicorn
	@bin/venv run
	@.venv/bin/python bin/upgrade.py

test: deps lint types js ## run all tests: JavaScript, Python, browsers, servers
	bin/with-node .venv/bin/python -m pytest -n auto -m 'not browser and not servers'
	bin/with-node .venv/bin/python -m pytest -m 'browser or servers' --durations=10

browsers: deps venv-dev node_modules ## take the walkthrough of the page in Chromium, Firefox and WebKit and print a table (ENGINES=firefox,webkit, ONLY=react,reply)
	.venv/bin/python -m tests.browsers

torture: deps venv-dev node_modules ## run the fault scenarios and print a table (SEED=, ONLY=F4,F9, REPEAT=, FULL=1, SOAK=30, ENGINE=off, TRANSPORTS=all), or the hostile clients (HOSTILE=1)
	bin/with-node .venv/bin/python -m tests.torture

bench: deps venv-dev ## compare the CPU per message with Node socket.io (ONLY=W1000,B, PEERS=confab,node, REPS=1, QUICK=1, DATABASE=postgresql) or with another commit (BEFORE=v1.0, PAIRS=15)
	bin/with-node .venv/bin/python -m bench

demo: deps venv-dev ## fill a room with a conversation and retake the screenshots of the README
	.venv/bin/python -m tests.demo

check: lint types js ## run lint, types and the tests without servers and browsers, in less than a minute
	bin/with-node .venv/bin/python -m pytest -q -n auto -m 'not browser and not servers'

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

lock: ## pin the newest allowed versions of all packages, in requirements/ and bench/peers/channels/
	@bin/venv run
	@bin/lock

clean: ## remove everything that make created, except the messages in instance/
	rm -rf .venv .make node_modules bench/peers/node/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

venv-dev:
	@bin/venv dev

node_modules: venv-dev
	@bin/with-node bin/node-modules
