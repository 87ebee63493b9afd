.PHONY: setup demo test lint types check bench check-labelstudio clean
PY := .venv/bin/python
export UV_COMPILE_BYTECODE := 1
export UV_FIND_LINKS := $(PIP_FIND_LINKS)

setup: .venv/.ok

# uv is faster than pip; plain pip is the way out where uv cannot be had.
.venv/.ok: pyproject.toml constraints.txt
	python3 -m venv .venv
	.venv/bin/pip install -q --disable-pip-version-check uv \
	  && VIRTUAL_ENV=$(CURDIR)/.venv .venv/bin/uv pip install -q -c constraints.txt -e '.[dev]' \
	  || .venv/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	.venv/bin/modest demo

# one process per core and one thread in each: small products only lose by sharing cores
test: setup
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto

lint: setup
	.venv/bin/ruff check modest tests benchmarks

types: setup
	.venv/bin/mypy

check: lint types test

bench: setup
	$(PY) -m benchmarks

# Label Studio's SDK wants another numpy and much else, so it has an environment of its own
build/labelstudio/.ok:
	python3 -m venv build/labelstudio
	build/labelstudio/bin/pip install -q --disable-pip-version-check label-studio-sdk==2.1.2
	touch $@

check-labelstudio: setup build/labelstudio/.ok
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.labelstudio --into docs/results/2026-11-22-labelstudio.md

clean:
	rm -rf .venv build *.egg-info
