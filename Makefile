PYTHON ?= python3
RUN = .venv/bin/python -m

.PHONY: demo test check

demo: .venv/ready
	.venv/bin/tandv demo

test: check
	$(RUN) pytest

check: .venv/ready
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) pyright

.venv/ready: pyproject.toml requirements-torch.txt requirements-jax.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --requirement requirements-dev.txt
	$(RUN) pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
