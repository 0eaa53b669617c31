# make run      the whole stack on this machine: make run ARGS="--port N --registrations FILE", ARGS=--help for all
# make test     check everything that has to hold, as .ci/run does
# make help     the other targets

# The first of these that is installed and new enough. To choose another: make run PYTHON=/path/to/python3
CANDIDATES = python3 python3.14 python3.13 python3.12 python3.11 python
NEW_ENOUGH = -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p $(NEW_ENOUGH) 2>/dev/null && { echo $$p; break; }; done)

# Each file pins its whole closure, with hashes. Nothing has to be resolved, so installing takes seconds.
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes
BIN = .venv/bin
BUILT = .aws-sam/build
SAM = SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 .venv-sam/bin/sam

.PHONY: help run test torture fuzz mutation bench deploy-check screenshots lint format check-template check-security build check-deployment check-registration key-policy keys versions take-over clean lock
.DEFAULT_GOAL := help

help:
	@echo 'make run               start the whole stack on this machine; ARGS="--port N --registrations FILE", ARGS=--help for all'
	@echo 'make test              check lint, types, template, build and tests; PYTEST_ARGS="-k NAME" narrows the tests'
	@echo 'make torture           run the proofs at full length; SCENARIO="name" runs one scenario, SEED=n repeats a run'
	@echo 'make fuzz              try the properties with many more examples, and every combination; TIMES=500 for how many, PYTEST_ARGS narrows'
	@echo 'make mutation          change modules in every small way, and say which change no test notices; MODULES="grant/belief storage"'
	@echo 'make screenshots       take pictures of all pages that customers see, and look for violations of accessibility; needs npm'
	@echo 'make bench             measure Gatehouse beside others, and write docs/performance.md; takes twenty minutes'
	@echo 'make deploy-check      deploy to an emulator of AWS that evaluates IAM, and try everything; takes some minutes'
	@echo 'make lint              run ruff and mypy alone'
	@echo 'make format            let ruff rewrite the code'
	@echo 'make check-template    run sam validate and cfn-lint alone'
	@echo 'make check-security    run checkov on the template: its policies for AWS'
	@echo 'make build             run sam build: what is deployed, in .aws-sam/build'
	@echo 'make check-deployment  check a deployed stack; STACK=name if it is not gatehouse'
	@echo 'make check-registration  check a registration before you store it; ARGS="FILE NAME"'
	@echo 'make key-policy        print the policy for a key that the stack uses and does not own; STACK=name as above'
	@echo 'make versions          list the versions of a deployed stack; ARGS="back" rolls back, ARGS="prune" deletes old ones'
	@echo 'make keys              say what still needs each key of the tokens; ARGS="reseal" seals again under the one that seals now'
	@echo 'make take-over         copy what changed since into a restored table; ARGS="OLD NEW --since TIME"'
	@echo 'make lock              pin the newest version of every package'
	@echo 'make clean             remove everything that these have made'

run: .venv/run.stamp
	@exec $(BIN)/python -m local $(ARGS)

# The fastest checks come first, and pytest's closing line last. tests/test_build.py runs `sam build`.
# Much of the tests' time is waiting, so two processes take little more than half of it. The tests of a file stay in one
# process. Both processes get the same hash seed, a new one for each run: they have to name the same tests, and the order
# of a set depends on the seed.
# Hundreds of processes are started: they keep what they compile, whatever the environment says. The checks of code and of
# the template run beside each other, and so does what they install first.
test: .venv/test.stamp node_modules/stamp
	@$(MAKE) --no-print-directory -j 2 lint check-template
	PYTHONDONTWRITEBYTECODE= PYTHONHASHSEED=$$(date +%s) $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST_ARGS)

# If something does not hold, exits with 1 and says how to repeat it.
torture: .venv/test.stamp node_modules/stamp
	$(BIN)/python -m tests.torture $(if $(SEED),--seed $(SEED)) $(if $(SCENARIO),--scenario "$(SCENARIO)") $(ARGS)
	@$(if $(SEED)$(SCENARIO)$(ARGS),true,said=$$(mktemp); failed=0; \
		( failed=0; for part in outages scale lists reseal; do echo "python -m tests.torture.$$part"; \
			$(BIN)/python -m tests.torture.$$part || failed=1; done; exit $$failed ) >$$said 2>&1 & beside=$$!; \
		echo 'python -m tests.torture.crashes'; $(BIN)/python -m tests.torture.crashes || failed=1; \
		wait $$beside || failed=1; cat $$said; rm $$said; exit $$failed)

# What combines one thing with another (tests/breadth.py): in `make test` each value once, and here every combination.
COMBINED = tests/clients/cli/test_doctor.py tests/flows/test_event_shapes.py tests/flows/test_leaks.py \
	tests/interop/test_oidc_provider.py tests/stack/test_command.py tests/test_registration_schema.py \
	tests/test_trim.py tests/unit/test_connections_table.py tests/unit/test_hostile_answers.py

# New examples in each run. A failure says how to try its example again.
fuzz: .venv/test.stamp node_modules/stamp
	GATEHOUSE_FUZZ=$(or $(TIMES),500) $(BIN)/python -m pytest tests/properties $(COMBINED) \
		--hypothesis-show-statistics $(PYTEST_ARGS)

# Takes minutes for each module. If changes are left that no test notices and nobody has explained, exits with 1.
mutation: .venv/test.stamp .venv-mutation/stamp
	$(BIN)/python -m tests.mutation $(or $(MODULES),$(error name modules, like MODULES="grant/belief storage/sealing"))

# The packages of others go where only the benchmarks find them, installed without bytecode, as `sam build` does it.
bench: .venv/test.stamp node_modules/stamp .venv-bench/stamp
	$(BIN)/python -m benchmarks

.venv-bench/stamp: requirements-bench.txt benchmarks/subjects/grant/package-lock.json | .venv/test.stamp
	@echo 'Installing what Gatehouse is measured beside (once) ...'
	@rm -rf $(@D) && mkdir $(@D)
	@$(BIN)/python $(PIP_INSTALL) --no-compile --target $(@D)/packages --requirement requirements-bench.txt
	@cp -R benchmarks/subjects/grant $(@D)/grant && cp .npmrc $(@D)/grant
	@if command -v npm >/dev/null; then cd $(@D)/grant && npm ci --silent; else echo 'npm is not here: no grant'; fi
	@touch $@

# Deploys as a person does, to an emulator on this machine. If something does not hold, exits with 1.
deploy-check: .venv/test.stamp .venv-sam/stamp .venv-deploy/stamp
	@$(BIN)/python -m tools.deploy_check $(ARGS)

# Pictures of all pages that customers see, in .screenshots/. If a page violates a rule of accessibility, exits with 1.
screenshots: .venv/test.stamp .screenshots/npm/stamp
	$(BIN)/python -m tests.screenshots $(ARGS)

.screenshots/npm/stamp: tests/screenshots/package-lock.json
	@mkdir -p $(@D) && cp tests/screenshots/package.json $< .npmrc $(@D) && cd $(@D) && npm ci --silent && touch stamp

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/test.stamp
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

check-template: .venv-sam/stamp
	$(SAM) validate --lint
	.venv-sam/bin/cfn-lint template.yaml examples/*/template.yaml

# Which of its policies are not followed, and why, stands in .checkov.yaml and in the Metadata of resources. It is not part of
# `make test`: installing it takes longer than most tests.
check-security: .venv-checkov/stamp
	.venv-checkov/bin/checkov --config-file .checkov.yaml

# All functions are built alike. What a successful build reports is printed here, once: SAM would print it for each function, or not
# at all.
build: .venv-sam/stamp | require-python
	$(SAM) build
	@$(PYTHON) -m tools.describe $(BUILT)/TokenFunction
	@echo 'Next: .venv-sam/bin/sam deploy, without --guided. It asks before it changes anything; README.md goes on from there.'

check-deployment: .venv/run.stamp
	@$(BIN)/python -m tools.check_deployment $(STACK)

check-registration: .venv/run.stamp
	@$(BIN)/python -m tools.check_registration $(ARGS)

key-policy: .venv/run.stamp
	@$(BIN)/python -m tools.key_policy $(STACK)

keys: .venv/run.stamp
	@$(BIN)/python -m tools.keys $(ARGS) $(if $(STACK),--stack $(STACK))

take-over: .venv/run.stamp
	@$(BIN)/python -m tools.take_over $(ARGS)

versions: .venv/run.stamp
	@$(BIN)/python -m tools.versions $(or $(ARGS),list) $(if $(STACK),--stack $(STACK))

# `sam build` calls this for each function, with the folder to fill in ARTIFACTS_DIR. GATEHOUSE_BUILD_ARGS holds options.
build-%Function: require-python
	@$(PYTHON) -m tools.build $(GATEHOUSE_BUILD_ARGS) "$(ARTIFACTS_DIR)"

.PHONY: require-python
require-python:
	@test -n "$(PYTHON)" || { \
		echo 'Gatehouse needs Python 3.11 or newer, and found none among: $(CANDIDATES)'; \
		echo 'Install one, or name it: make run PYTHON=/path/to/python3'; \
		exit 1; } >&2
	@$(PYTHON) $(NEW_ENOUGH) || { echo 'Gatehouse needs Python 3.11 or newer, and $(PYTHON) is not.' >&2; exit 1; }

# On standard error: what `make key-policy` prints is a policy, from the first time on.
.venv/made .venv-sam/made .venv-deploy/made .venv-checkov/made .venv-mutation/made: | require-python
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo '$(PYTHON) cannot make virtual environments.'; \
		echo 'On Debian and Ubuntu: apt-get install python3-venv. Elsewhere: use another Python with PYTHON=...'; \
		exit 1; } >&2
	@echo 'Making $(@D) with $(PYTHON) ...' >&2
	@$(PYTHON) -m venv --clear $(@D)
	@touch $@

# A stamp says that this version of the pins is installed. The modules are compiled at the first start, which follows soon.
.venv/run.stamp: requirements-local.txt .venv/made
	@echo "Installing what the stack needs (once): $$(grep -c '==' $<) packages of $<, which takes most of a minute ..." >&2
	@$(BIN)/python $(PIP_INSTALL) --no-compile --requirement requirements-local.txt
	@touch $@

.venv/test.stamp: requirements-dev.txt .venv/run.stamp
	@echo 'Installing what the tests need (once) ...'
	@$(BIN)/python $(PIP_INSTALL) --requirement requirements-dev.txt
	@$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null || true
	@touch $@

# Each has an environment of its own: SAM CLI needs an older boto3, the emulator of AWS pins botocore and runs the functions
# itself, checkov pins much, and what makes the changes has a terminal interface with packages that nothing else needs.
INSTALLED_sam := SAM CLI
INSTALLED_deploy := the emulator of AWS
INSTALLED_checkov := checkov
INSTALLED_mutation := what changes modules

.venv-%/stamp: requirements-%.txt .venv-%/made
	@echo 'Installing $(INSTALLED_$*) (once) ...'
	@.venv-$*/bin/python $(PIP_INSTALL) --requirement $<
	@touch $@

# Without npm or without a network, the tests that need its packages are skipped and say so.
node_modules/stamp: package-lock.json
	@if command -v npm >/dev/null; then npm ci --silent && touch $@; else echo 'npm is not here: some tests are skipped'; fi \
		|| echo 'npm ci failed: some tests are skipped'

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
	compile checkov requirements-checkov.txt; \
	compile mutation requirements-mutation.txt; \
	compile bench requirements-bench.txt requirements-dev.txt
	cd benchmarks/subjects/grant && npm install --package-lock-only --silent
	npm install --package-lock-only --silent

.venv-lock/stamp: | require-python
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

clean:
	rm -rf .venv .venv-sam .venv-deploy .venv-checkov .venv-lock .venv-bench .venv-mutation .aws-sam .build .cache .screenshots node_modules .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
