# make demo   everything from a bare clone to a live annotated stream
# make test   everything from a bare clone to a green test run
# make test-one T=tests/test_docs.py::test_name   one file, class or test, with everything it needs
# make test-systemd   the service on a booted systemd (root only)
# make bench  latency and CPU figures of this machine
# make docs   the documentation as a site, in site/
# The distribution's own python3 is used: GStreamer's Python bindings fit that version only.
PYTHON ?= /usr/bin/python3
BIN := .venv/bin
CACHE := $(or $(SIGHTD_CACHE_DIR),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sightd)
export SIGHTD_SAMPLES := $(CACHE)/samples

.PHONY: demo test test-one test-systemd bench docs setup system test-tools lint types audit lock schema clean help
.DEFAULT_GOAL := help

help:
	@sed -n '1,6s/^# //p' Makefile

demo: setup
	$(BIN)/sightd models fetch --first deimv2-femto yolox-tiny ssd-mobilenet-v2
	$(BIN)/sightd models fetch yunet sface style26
	$(BIN)/sightd samples fetch bikes.mp4 single_face.mp4 single_face.jpg no_face.mp4
	$(BIN)/sightd faces add "Demo guest" $(SIGHTD_SAMPLES)/single_face.jpg -c config/demo.yaml
	$(BIN)/sightd run -c config/demo.yaml

test: test-tools setup lint types
	$(BIN)/python -m tests.support.pycuda_env
	$(BIN)/python -m tests.side_by_side

test-one: test-tools setup
	@test -n "$(T)" || { echo 'say which: make test-one T=tests/test_docs.py, or T=tests/test_docs.py::test_name' >&2; exit 2; }
	$(BIN)/python -m tests.support.pycuda_env
	$(BIN)/python -m pytest -v --timeout=900 -m "" "$(T)"

test-systemd: setup
	@[ "$$(id -u)" != 0 ] || config/install-system-packages.sh debootstrap systemd-container
	-$(BIN)/sightd models fetch yunet sface
	-$(BIN)/sightd samples fetch single_face.jpg
	$(BIN)/python -m pytest -v -m systemd tests/systemd

bench: setup
	$(BIN)/sightd models fetch --first deimv2-femto yolox-tiny ssd-mobilenet-v2
	$(BIN)/python -m bench.pipeline all

# In an environment of its own, so that setup installs no more. A warning is an error.
docs: .venv-docs/.installed
	.venv-docs/bin/mkdocs build --strict --quiet
	@echo "site/index.html"

.venv-docs/.installed: requirements-docs.lock
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --require-hashes --requirement requirements-docs.lock
	@touch $@

setup: system $(BIN)/.installed

system:
	@config/install-system-packages.sh

# CUDA kernels are tested as the host's own code, PyCUDA over a stand-in for its driver, clocks by jumps, and the console
# in a browser.
test-tools:
	@config/install-system-packages.sh g++ python3-dev faketime strace chromium fonts-dejavu-core

$(BIN)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sightd needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv --system-site-packages .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/typos

types:
	$(BIN)/mypy

# Hashes, versions and licences of the pinned packages; known vulnerabilities where pip-audit reaches its service.
audit: setup
	$(BIN)/python -m tests.support.audit

schema:
	$(BIN)/sightd schema > config/sightd.schema.json

# Needs uv. Writes names and hashes only, no index URLs.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links --upgrade -o requirements.lock
	uv pip compile pyproject.toml --extra build --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links --constraint requirements.lock \
	    -o requirements-runtime.lock
	uv pip compile --group docs --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links --upgrade -o requirements-docs.lock

clean:
	rm -rf .venv .venv-docs site .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
