# `make demo` shows the sample image, `make quick` runs what is quick, `make test` everything that
# must pass,
# `make test-xen` asks a real Xen.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
# The package with what it needs to run; the rest is for its tests.
RUNTIME := $(VENV)/.runtime

.PHONY: demo test quick test-xen lint types unit bench bench-fleet fuzz million kills man docs dist deb format clean

demo: $(RUNTIME)
	$(BIN)/xensave show examples/hvm1.img.zst
	$(BIN)/xensave verify examples/hvm1.img.zst

test: lint types unit

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

# What finds most mistakes soonest: the rooms whose tests are quick, and neither pages nor doctests.
quick: lint types
	$(BIN)/pytest -n 2 -m "not slow" tests/test_[!d]*.py tests/image tests/records tests/source tests/views \
		tests/numbers tests/rules_stream tests/recipes/test_listed.py tests/cli/test_run.py \
		tests/cli/test_manners.py

unit: $(STAMP)
	$(BIN)/pytest -n 2

# Boots a real Xen and restores what xensave wrote; sets itself up below .rig.
test-xen: $(STAMP)
	XENSAVE_XEN=1 $(BIN)/pytest tests/xen/test_restore.py -p no:cacheprovider -rs

# make bench SIZE=8G DENSE=4G FOLDER=/dev/shm VERIFY_STREAM_V2=xen/tools/python/scripts/verify-stream-v2
# COMPARE=old.json says what moved since the run that wrote it.
SIZE ?= 8G
DENSE ?= 4G
bench: $(STAMP)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m bench --size $(SIZE) --dense $(DENSE) --json bench.json \
		$(if $(FOLDER),--folder $(FOLDER)) $(if $(VERIFY_STREAM_V2),--verify-stream-v2 $(VERIFY_STREAM_V2)) \
		$(if $(COMPARE),--compare $(COMPARE))

# 10,000 names scanned into a table; FOLDER as for bench.
bench-fleet: $(STAMP)
	$(BIN)/python -m bench.fleet $(if $(FOLDER),--folder $(FOLDER))

# Coverage-guided, SECONDS shared by the targets of fuzz/targets; corpus and crashes in .fuzz.
SECONDS ?= 60
fuzz: $(STAMP)
	$(BIN)/python -m fuzz --seconds $(SECONDS)

# Mass mutation; `make million COUNT=10000` for a part of it.
COUNT ?= 1000000
million: $(STAMP)
	mkdir -p .fuzz
	$(BIN)/python -m fuzz.million --count $(COUNT) --log .fuzz/million.json

# kill -9 at many moments of what writes a file; the suite takes a few.
KILLS ?= 200
kills: $(STAMP)
	XENSAVE_KILLS=$(KILLS) $(BIN)/pytest tests/hostile/test_killed.py -p no:cacheprovider

# What packages install beside the program, made from the parsers.
man: $(STAMP)
	$(BIN)/python packaging/generate.py

# The pages as a site below site/; a warning is an error.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The distributions below dist/, checked.
dist: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/pytest tests/packaging

# A Debian package, built from a copy of the tree below build/deb.
deb:
	rm -rf build/deb && mkdir -p build/deb/xensave
	git ls-files -z | xargs -0 cp --parents -t build/deb/xensave
	cp -r packaging/debian build/deb/xensave/debian
	cd build/deb/xensave && dpkg-buildpackage -b -us -uc

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(RUNTIME): pyproject.toml constraints.txt packaging/runtime.txt
	$(PYTHON) -m venv $(VENV)
	awk 'NR == FNR { wanted[$$1] = 1; next } \
		/^[^ ]/ { split($$1, part, "=="); take = part[1] in wanted } take' \
		packaging/runtime.txt constraints.txt > $(VENV)/requirements.txt
	$(PIP) --no-compile --require-hashes -r $(VENV)/requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

$(STAMP): $(RUNTIME)
	$(PIP) --require-hashes -r constraints.txt
	touch $@

clean:
	rm -rf $(VENV) build dist site src/*.egg-info
