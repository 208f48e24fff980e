# Every command of the project. Each first installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A change of interpreter gives other stamps, and with them a new environment.
INTERPRETER := $(shell $(PYTHON) -c 'import sys; print(sys.executable, sys.version)' 2>&1 | cksum | cut -d' ' -f1)
VENV_READY := $(VENV)/ready-$(INTERPRETER)
TRAIN_READY := $(VENV)/train-$(INTERPRETER)
TEST_READY := $(VENV)/test-$(INTERPRETER)
PEERS_READY := $(VENV)/peers-$(INTERPRETER)
DOCS_READY := $(VENV)/docs-$(INTERPRETER)
BENCH_READY := $(VENV)/bench-$(INTERPRETER)
# What an installation is made of: a change of the kernels compiles them again.
SOURCES := pyproject.toml hatch_build.py $(wildcard jlstm/recurrence/native/build.py jlstm/recurrence/native/kernel/*.[ch])
WORKERS ?= auto
# Left out of test-portable to save time: every transformation of every layer type, and benchmarks.
MATRICES := $(addprefix tests/,gpu papers test_layers_under_transformations.py test_transformations.py test_variants.py \
  test_meshes.py test_export.py test_gpu_benchmark.py train/test_scaling.py train/test_trials.py)

.PHONY: help train test test-full test-portable test-slow test-peers papers papers-quick wheels browser bench docs \
  docs-links check format clean

help:
	@echo "make train          train the character language model, into runs/char_lm"
	@echo "make test           test every part of it, in at most four minutes"
	@echo "make test-full      run the quick tests that make test leaves out (some minutes)"
	@echo "make test-portable  run quick tests under another instruction set, locale, time zone and folder"
	@echo "make test-slow      run the longer tests"
	@echo "make test-peers     compare with PyTorch and Keras, which it installs; ARGS=\"-m slow\" for more"
	@echo "make papers         measure the missing rows of the papers' tables; ARGS=\"ROW --again\" repeats one"
	@echo "make papers-quick   measure a smaller set of rows, into runs/papers-quick"
	@echo "make wheels         build wheels for Linux, macOS and Windows, and one without kernels, into dist"
	@echo "make browser        install Chromium for the slow tests that open pages (Debian, as root)"
	@echo "make bench          time jlstm against its peers (20 minutes); ARGS=\"--only table\" for a part"
	@echo "make docs           build the documentation and run every example, into docs/_build/html"
	@echo "make docs-links     check references, links and headings of the documentation, without running it"
	@echo "make check          lint and check types"
	@echo "make format         format the code"
	@echo "make clean          remove the environment and caches, but not runs/"
	@echo "PYTHON=python3.12 selects another interpreter (3.11 or newer)"

train: $(TRAIN_READY)
	$(BIN)/python -m train configs/char_lm.toml

test: $(TEST_READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not full"

test-full: $(TEST_READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "full and not slow"

test-portable: $(TEST_READY)
	$(BIN)/python -m tests.support.portable -n $(WORKERS) --dist worksteal -m "not slow" \
	  $(addprefix --ignore=,$(MATRICES)) $(ARGS)

test-slow: $(TEST_READY) browser
	XLA_FLAGS="$(XLA_FLAGS)" $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m slow

test-peers: $(PEERS_READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" tests/peers \
	  docs/coming-from.md $(ARGS)

papers: $(TEST_READY)
	$(BIN)/python -m papers $(ARGS)

papers-quick: $(TEST_READY)
	$(BIN)/python -m papers --quick $(ARGS)

wheels: $(VENV_READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build hatchling ziglang
	rm -rf dist
	for target in linux-x86_64 linux-aarch64 macos-arm64 windows-x86_64; do \
	  JLSTM_TARGET=$$target $(BIN)/python -m build --no-isolation --wheel --outdir dist . >/dev/null || exit 1; \
	done
	JLSTM_PURE=1 $(BIN)/python -m build --no-isolation --wheel --outdir dist . >/dev/null
	@ls dist

browser:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing Chromium"; \
	  { apt-get update && apt-get install --yes --no-install-recommends chromium; } >/dev/null; \
	else echo "there is no chromium: install it, or the tests that open pages skip"; fi

bench: $(BENCH_READY)
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(DOCS_READY)
	rm -rf docs/_build/html
	$(BIN)/python -m sphinx --fail-on-warning --jobs auto --quiet docs docs/_build/html
	$(BIN)/python docs/machinery/check.py docs/_build/html
	@echo "open docs/_build/html/index.html"

docs-links: $(DOCS_READY)
	rm -rf docs/_build/unrun
	$(BIN)/python -m sphinx --fail-on-warning --quiet -D nb_execution_mode=off \
	  -D suppress_warnings=mystnb.glue,myst-nb.lexer docs docs/_build/unrun
	$(BIN)/python docs/machinery/check.py docs/_build/unrun

check: $(TEST_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check

format: $(TEST_READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis dist docs/_build

$(VENV_READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is not Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(TRAIN_READY): $(VENV_READY) $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[train]'
	@touch $@

$(TEST_READY): $(VENV_READY) $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $(TRAIN_READY) $@

$(PEERS_READY): $(VENV_READY) $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,peers]'
	@touch $(TRAIN_READY) $(TEST_READY) $(BENCH_READY) $@

$(DOCS_READY): $(VENV_READY) $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $(TRAIN_READY) $@

$(BENCH_READY): $(VENV_READY) $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[peers]'
	@touch $@
