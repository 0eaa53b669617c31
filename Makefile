# make run      the whole stack on this machine: make run ARGS="--port N --registrations FILE", ARGS=--help for all
# make test     everything that has to hold, as .ci/run checks it
# make help     the other targets

# The first of these that works and is new enough; or name one: make run PYTHON=/path/to/python3
CANDIDATES = python3 python3.14 python3.13 python3.12 python3.11 python
NEW_ENOUGH = -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p $(NEW_ENOUGH) 2>/dev/null && { echo $$p; break; }; done)

# Every pin has its hash, and each file holds its whole closure: nothing is resolved, so that this takes seconds.
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes
BIN = .venv/bin
BUILT = .aws-sam/build
SAM = SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 .venv-sam/bin/sam

.PHONY: help run test torture bench deploy-check lint format check-template build check-deployment check-registration versions take-over clean lock
.DEFAULT_GOAL := help

help:
	@echo 'make run               the whole stack on this machine; ARGS="--port N --registrations FILE", ARGS=--help for all'
	@echo 'make test              lint, types, template, build and tests; PYTEST_ARGS="-k NAME" narrows the last'
	@echo 'make torture           the proofs at full length; SCENARIO="name" those of one cast, SEED=n replays one'
	@echo 'make bench             measure it beside others, and write docs/performance.md; twenty minutes'
	@echo 'make deploy-check      deploy it to an emulator of AWS that evaluates IAM, and walk through it; some minutes'
	@echo 'make lint              ruff and mypy alone'
	@echo 'make format            let ruff rewrite the code'
	@echo 'make check-template    sam validate and cfn-lint alone'
	@echo 'make build             sam build: what is deployed, in .aws-sam/build'
	@echo 'make check-deployment  look at a deployed stack; STACK=name, if it is not gatehouse'
	@echo 'make check-registration  look at a registration before it is stored; ARGS="FILE NAME"'
	@echo 'make versions          the versions of a deployed stack; ARGS="back" undoes a deployment, ARGS="prune" clears away'
	@echo 'make take-over         into a restored table, what changed since; ARGS="OLD NEW --since TIME"'
	@echo 'make lock              pin the newest versions of everything again'
	@echo 'make clean             remove all that these made'

run: .venv/run.stamp
	@exec $(BIN)/python -m local $(ARGS)

# The checks that answer fastest come first, and pytest's own closing line last. tests/test_build.py runs `sam build`.
# Much of the tests' time is waiting: two processes take little more than half of it. A file's tests stay in one. Both
# hash alike, another way each time: they have to name the same tests, and a set has no order.
test: .venv/test.stamp node_modules/stamp
	@$(MAKE) --no-print-directory lint check-template
	PYTHONHASHSEED=$$(date +%s) $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST_ARGS)

# Exits with 1 where something did not hold, and says how to replay it.
torture: .venv/test.stamp node_modules/stamp
	$(BIN)/python -m tests.torture $(if $(SEED),--seed $(SEED)) $(if $(SCENARIO),--scenario "$(SCENARIO)") $(ARGS)
	@$(if $(SEED)$(SCENARIO)$(ARGS),true,said=$$(mktemp); failed=0; \
		( failed=0; for part in outages scale; do echo "python -m tests.torture.$$part"; \
			$(BIN)/python -m tests.torture.$$part || failed=1; done; exit $$failed ) >$$said 2>&1 & beside=$$!; \
		echo 'python -m tests.torture.crashes'; $(BIN)/python -m tests.torture.crashes || failed=1; \
		wait $$beside || failed=1; cat $$said; rm $$said; exit $$failed)

# Others' packages, where only the benchmarks find them: as `sam build` installs them, without bytecode.
bench: .venv/test.stamp node_modules/stamp .venv-bench/stamp
	$(BIN)/python -m benchmarks

.venv-bench/stamp: requirements-bench.txt benchmarks/subjects/grant/package-lock.json | .venv/test.stamp
	@echo 'Installing what is measured beside it (once) ...'
	@rm -rf $(@D) && mkdir $(@D)
	@$(BIN)/python $(PIP_INSTALL) --no-compile --target $(@D)/packages --requirement requirements-bench.txt
	@cp -R benchmarks/subjects/grant $(@D)/grant && cp .npmrc $(@D)/grant
	@if command -v npm >/dev/null; then cd $(@D)/grant && npm ci --silent; else echo 'npm is not here: no grant'; fi
	@touch $@

# Deployed as a person does it, to an emulator on this machine. Exits with 1 where something does not hold.
deploy-check: .venv/test.stamp .venv-sam/stamp .venv-deploy/stamp
	@$(BIN)/python -m tools.deploy_check $(ARGS)

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/test.stamp
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

check-template: .venv-sam/stamp
	$(SAM) validate --lint
	.venv-sam/bin/cfn-lint template.yaml

# What a build that succeeds has to say is said here, once: SAM would not show it, or nine times. All are built alike.
build: .venv-sam/stamp | require-python
	$(SAM) build
	@$(PYTHON) -m tools.describe $(BUILT)/TokenFunction

check-deployment: .venv/run.stamp
	@$(BIN)/python -m tools.check_deployment $(STACK)

check-registration: .venv/run.stamp
	@$(BIN)/python -m tools.check_registration $(ARGS)

take-over: .venv/run.stamp
	@$(BIN)/python -m tools.take_over $(ARGS)

versions: .venv/run.stamp
	@$(BIN)/python -m tools.versions $(or $(ARGS),list) $(if $(STACK),--stack $(STACK))

# `sam build` calls this for each function, with the folder to fill in ARTIFACTS_DIR; GATEHOUSE_BUILD_ARGS are options.
build-%Function: require-python
	@$(PYTHON) -m tools.build $(GATEHOUSE_BUILD_ARGS) "$(ARTIFACTS_DIR)"

.PHONY: require-python
require-python:
	@test -n "$(PYTHON)" || { \
		echo 'Gatehouse needs Python 3.11 or newer, and none of these is: $(CANDIDATES)'; \
		echo 'Install one, or say where it is: make run PYTHON=/path/to/python3'; \
		exit 1; } >&2
	@$(PYTHON) $(NEW_ENOUGH) || { echo 'Gatehouse needs Python 3.11 or newer, and $(PYTHON) is not.' >&2; exit 1; }

.venv/made .venv-sam/made .venv-deploy/made: | require-python
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo '$(PYTHON) cannot make virtual environments.'; \
		echo 'On Debian and Ubuntu: apt-get install python3-venv. Elsewhere: use another Python with PYTHON=...'; \
		exit 1; } >&2
	@echo 'Making $(@D) with $(PYTHON) ...'
	@$(PYTHON) -m venv --clear $(@D)
	@touch $@

# A stamp says that this version of the pins is installed. The first start comes soon after: compiling is left to it.
.venv/run.stamp: requirements-local.txt .venv/made
	@echo 'Installing what the stack needs (once) ...'
	@$(BIN)/python $(PIP_INSTALL) --no-compile --requirement requirements-local.txt
	@touch $@

.venv/test.stamp: requirements-dev.txt .venv/run.stamp
	@echo 'Installing what the tests need (once) ...'
	@$(BIN)/python $(PIP_INSTALL) --requirement requirements-dev.txt
	@touch $@

# SAM CLI holds boto3 back to a version of its own: an environment of its own.
.venv-sam/stamp: requirements-sam.txt .venv-sam/made
	@echo 'Installing SAM CLI (once) ...'
	@.venv-sam/bin/python $(PIP_INSTALL) --requirement requirements-sam.txt
	@touch $@

# The emulator pins botocore, and runs the functions itself: an environment of its own.
.venv-deploy/stamp: requirements-deploy.txt .venv-deploy/made
	@echo 'Installing the emulator of AWS (once) ...'
	@.venv-deploy/bin/python $(PIP_INSTALL) --requirement requirements-deploy.txt
	@touch $@

# Without npm, or without network, the tests that need it say what they miss.
node_modules/stamp: package-lock.json
	@if command -v npm >/dev/null; then npm ci --silent && touch $@; else echo 'npm is not here: no dynalite'; fi \
		|| echo 'npm ci failed: no dynalite'

# Needs the network. Review what changed before committing it.
lock: .venv-lock/stamp
	@set -e; compile() { .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-annotate --upgrade --custom-compile-command 'make lock' --output-file "$$2" "tools/requirements/$$1.in" \
		$${3:+--constraint "$$3"}; }; \
	compile runtime requirements.txt; \
	compile local requirements-local.txt requirements.txt; \
	compile dev requirements-dev.txt requirements-local.txt; \
	compile sam requirements-sam.txt; \
	compile deploy requirements-deploy.txt; \
	compile bench requirements-bench.txt requirements-dev.txt
	cd benchmarks/subjects/grant && npm install --package-lock-only --silent
	npm install --package-lock-only --silent

.venv-lock/stamp: | require-python
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

clean:
	rm -rf .venv .venv-sam .venv-deploy .venv-lock .venv-bench .aws-sam .build .cache node_modules .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
