# Everything that is done with this project. A target sets up what it needs: Python 3.11 and make are enough.

# Which Pythons to try, the best known first; make PYTHON=/path/to/python names another.
PYTHON = python3.11 python3 python3.12 python3.13 python
BIN = .venv/bin
# What pip installs is what requirements/*.lock name, each file checked against its hash; then the package itself.
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check
LOCKED = $(PIP_INSTALL) --require-hashes --requirement
ITSELF = $(PIP_INSTALL) --no-deps --no-build-isolation --editable

.PHONY: help run demo test test-slow test-newest check peers test-page figures torture campaigns day definitions filters deaths bench bench-callout hold recovery examples sbom stack lock clean

help:
	@echo 'make run     set up, and run the server on http://127.0.0.1:3000 with its own MongoDB'
	@echo 'make demo    walk a disaster alert through a server of its own, with simulated phones'
	@echo 'make test    run the tests'
	@echo 'make test-slow  run the tests that are larger forms of others; it takes some minutes'
	@echo 'make test-newest  run the tests of the database driver with the newest releases that setup.cfg allows'
	@echo 'make check   lint, check formatting, types and floors'
	@echo 'make peers   test against programs by others, which need Node.js and npm'
	@echo 'make test-page  test the page in a browser, which needs Chromium, its driver and npm'
	@echo 'make figures compare the page of an alert of 20,000 with the database, with kills; it takes ten minutes'
	@echo 'make pictures  take the pictures of the page in docs/pictures anew, with simulated phones; it takes some minutes'
	@echo 'make torture try 200 seeds of faults and kills, and 100 alerts with plans; it takes a while'
	@echo 'make campaigns  carry 2,000 simulated alerts out, with deaths, races and clocks that change; it takes an hour'
	@echo 'make day     live 24 simulated hours of alerts, deaths and incidents beside Prometheus; it takes 24 minutes'
	@echo 'make definitions  check 10,000 random call flows, half of them broken; it takes some minutes'
	@echo 'make filters  compare 1,000 drawn worlds with what each kind of filter finds in them; it takes half an hour'
	@echo 'make deaths  let a process that carries out a plan, an erasure, a migration, a webhook or a change of number die before each of its writes; it takes some minutes'
	@echo 'make bench   measure, on a machine that does nothing else; make bench BENCH=--help for what there is'
	@echo 'make bench-callout  one callout of 100,000, from the import to the last callback'
	@echo 'make hold    hold 5,000 calls of two processes with 500 in flight, and measure how long that takes'
	@echo 'make recovery  from a lost disk to ringing again with 100,000 contacts, by the page in docs/; it takes a while'
	@echo 'make examples  record the examples of the OpenAPI document anew'
	@echo 'make sbom    list what is installed, as CycloneDX has it, in build/sbom.cdx.json'
	@echo 'make stack   two servers, a replica set and nginx: an alert with kills; it needs nginx'
	@echo 'make lock    write requirements/*.lock anew after a change of setup.cfg; make lock LOCK=--upgrade for newer releases'
	@echo 'make clean   remove what was set up and built; data are kept'

# Settings come from the environment or the command line: make run PORT=3001
run: export PLATFORM_PROVIDER ?= simulator
run: .venv/installed
	@echo "The provider is $${PLATFORM_PROVIDER:-twilio} (PLATFORM_PROVIDER: simulator, twilio or somleng)."
	@exec $(BIN)/python -m scfm serve

demo: .venv/installed
	@exec $(BIN)/python -m scfm demo

# How many processes, and which files come first: tests/conftest.py.
SIDE_BY_SIDE = --numprocesses auto --dist loadfile --no-loadscope-reorder

test: .venv/installed-test
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --max-worker-restart 0 -m 'not slow' --cov --cov-report term

test-slow: .venv/installed-test
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --max-worker-restart 0 -m slow

check: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

peers: .venv/installed-test tests/peers/node_modules/installed
	$(BIN)/python -m pytest tests/peers/peers.py

# Pictures of the pages are left in build/page. PAGE='tests/page/test_shell.py' is a part of it.
PAGE = tests/page
test-page: .venv/installed-test tests/page/node_modules/installed
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(PAGE)

# make figures FIGURES='--people 2000 --instants 50 --kills 1'
figures: .venv/installed-test tests/page/node_modules/installed
	$(BIN)/python -m tests.page.figures $(FIGURES)

# Pillow, which makes them small, comes with what draws the results of benchmarks.
.PHONY: pictures
pictures: .venv/installed-bench tests/page/node_modules/installed
	$(BIN)/python -m tests.page.pictures

torture: .venv/installed-test
	$(BIN)/python -m tests.torture --seeds 200
	$(BIN)/python -m tests.torture --trial alerts --seeds 100

definitions: .venv/installed-test
	PATHS_EVERY=1 $(BIN)/python -m pytest tests/flows/test_definition_webhook.py
	DEFINITIONS=10000 $(BIN)/python -m pytest tests/properties/test_definitions.py

filters: .venv/installed-test
	FILTERS=1000 $(BIN)/python -m pytest tests/properties/test_filters.py

deaths: .venv/installed-test
	DEATHS_EVERY=1 $(BIN)/python -m pytest $(addprefix tests/workers/test_,$(addsuffix .py,plan_death erasure migrate delivery_death renumbering_cut_off))

# make campaigns SEEDS=100
SEEDS = 2000
campaigns: .venv/installed-test
	$(BIN)/python -m tests.torture.campaigns --seeds $(SEEDS)

# It needs Debian's package prometheus. make day DAY='--minutes 12'
day: .venv/installed-test
	$(BIN)/python -m tests.torture.day $(DAY)

# make bench BENCH='--sizes 1000,10000 --only operations,lists'
bench: .venv/installed-bench
	$(BIN)/python -m benchmarks $(BENCH)
	$(BIN)/python -m benchmarks.report

# make bench-callout BENCH='--contacts 10000'
bench-callout: .venv/installed-bench
	$(BIN)/python -m benchmarks.callout $(BENCH)
	$(BIN)/python -m benchmarks.report

hold: .venv/installed-test
	HOLD_IN_FLIGHT=500 HOLD_CALLS=5000 HOLD_SECONDS=0.2 $(BIN)/python -m pytest -q -s tests/acceptance/test_hold_in_time.py

recovery: .venv/installed-test
	RECOVERY_CONTACTS=100000 $(BIN)/python -m pytest -q -s -o faulthandler_timeout=3600 tests/acceptance/test_disaster_recovery.py

# The examples of the OpenAPI document, as a server answers now.
examples: .venv/installed-test
	$(BIN)/python -m tests.acceptance.openapi_examples

# What is installed here, as CycloneDX has it: build/sbom.cdx.json.
sbom: .venv/installed
	@mkdir -p build
	@$(BIN)/python deploy/sbom.py > build/sbom.cdx.json
	@echo 'build/sbom.cdx.json'

# make stack STACK=20000
STACK = 2000
stack: .venv/installed-test
	STACK_PEOPLE=$(STACK) $(BIN)/python -m pytest -s tests/acceptance/test_stack.py

clean:
	rm -rf .venv tests/peers/node_modules tests/page/node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	find scfm tests -name __pycache__ -prune -exec rm -rf {} +

.venv/installed: requirements/embedded.lock setup.cfg pyproject.toml | .venv/bin/pip
	@echo 'Installing scfm, its libraries and a MongoDB into .venv: 100 MB, once. It takes one or two minutes ...'
	@$(BIN)/python $(LOCKED) requirements/embedded.lock
	@$(BIN)/python $(ITSELF) .
	@touch $@
	@echo 'Installed. The command is .venv/bin/scfm; try .venv/bin/scfm --help.'

.venv/installed-test: requirements/test.lock .venv/installed
	@echo 'Installing the tools for tests and checks into .venv ...'
	@$(BIN)/python $(LOCKED) requirements/test.lock
	@touch $@

.venv/installed-bench: requirements/bench.lock .venv/installed-test
	@echo 'Installing what draws the results into .venv ...'
	@$(BIN)/python $(LOCKED) requirements/bench.lock
	@touch $@

# What stands on the database driver, and the server as a whole.
NEWEST = tests/workers/test_writes.py tests/workers/test_batching.py tests/resources tests/guide tests/acceptance/test_serve.py

# A venv apart with whatever is newest inside the ranges of setup.cfg, made anew each time.
test-newest: .venv/bin/pip
	@echo 'Installing the newest releases that setup.cfg allows into build/newest ...'
	@$(BIN)/python -m venv --clear build/newest
	@build/newest/bin/python $(PIP_INSTALL) --editable '.[embedded,test]'
	build/newest/bin/python -m pytest $(SIDE_BY_SIDE) $(NEWEST)

# Each lock is universal (any Python from 3.11 on, any platform), and takes its releases from the largest one.
lock: build/lock/bin/uv
	@$(COMPILE) $(LOCK) --extra embedded --extra test --extra bench --output-file requirements/bench.lock
	@$(COMPILE) $(SAME) --extra embedded --extra test --output-file requirements/test.lock
	@$(COMPILE) $(SAME) --extra embedded --output-file requirements/embedded.lock
	@$(COMPILE) $(SAME) --output-file requirements/run.lock

COMPILE = $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	| build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-find-links --custom-compile-command 'make lock' setup.cfg -
SAME = --constraint requirements/bench.lock

build/lock/bin/uv: | .venv/bin/pip
	@$(BIN)/python -m venv --clear build/lock
	@build/lock/bin/python $(PIP_INSTALL) 'uv >=0.9,<1'

tests/peers/node_modules/installed: tests/peers/package.json tests/peers/package-lock.json
	@echo 'Installing the peers into tests/peers/node_modules ...'
	@npm ci --prefix tests/peers --silent --no-audit --no-fund
	@touch $@

tests/page/node_modules/installed: tests/page/package.json tests/page/package-lock.json
	@echo 'Installing what checks accessibility into tests/page/node_modules ...'
	@npm ci --prefix tests/page --silent --no-audit --no-fund
	@touch $@

# pip comes last into a new environment, so one that was broken off is made anew.
.venv/bin/pip:
	@log=$$(mktemp); trap 'rm -f $$log' EXIT; trap 'exit 130' INT; \
	for python in $(PYTHON); do \
		if $$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making .venv with $$python ..."; \
			$$python -m venv --clear .venv >$$log 2>&1 || { cat $$log >&2; exit 1; }; \
			exit 0; \
		fi; \
	done; \
	echo 'No Python 3.11 or later that can make a virtual environment was found (tried: $(PYTHON)).' >&2; \
	echo 'Debian: apt-get install python3-venv. Elsewhere: make PYTHON=/path/to/python3.11 ...' >&2; \
	exit 1
