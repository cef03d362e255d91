# Everything from a machine with nothing but Python >= 3.11 and make.
PYTHON ?= python3
DEVICE ?= auto
# With constraints (the default) you get the versions that CI runs; CONSTRAINTS= for the newest.
CONSTRAINTS ?= constraints/ci.txt

# How long a thread that waits for its sibling spins before it sleeps. It should be a while (going
# to sleep at once makes a training step a quarter slower) and not for ever (beside another job on
# the same two cores, a step then takes twice as long).
export GOMP_SPINCOUNT ?= 100000

BIN := .venv/bin
READY := .venv/.ready
SITE_READY := .venv/.ready-site

.DEFAULT_GOAL := help
.PHONY: help tour lab test notebooks papermill colab lint types nightly scoreboard results
.PHONY: pretrain slug course grade clean release site browser inlab links pdf

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 13
	@echo
	@echo "  SEED=1 and DEVICE=cpu|cuda|auto can be set: make tour SEED=1 DEVICE=cuda"

tour: $(READY)  ## train CauF-VAE and check its interventions against the truth (a minute)
	$(BIN)/python -m caufvae_lite tour --seed $(or $(SEED),0) --device $(DEVICE)

lab: $(READY)  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --KernelManager.transport_encryption=auto notebooks

test: $(READY)  ## unit tests, then every notebook against its committed outputs (nbval)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2
	OMP_NUM_THREADS=1 CAUFVAE_SLIDERS=0 $(BIN)/python -m pytest -n 2 --dist loadfile \
	    --nbval-lax --nbval-current-env --nbval-cell-timeout=600 -p no:cacheprovider notebooks

notebooks: $(READY)  ## execute the notebooks and write them back (NB=03: one of them)
	$(BIN)/python tools/notebooks.py run $(NB)

papermill: $(READY)  ## execute copies with another seed, 1 unless you say SEED=2
	$(BIN)/python tools/notebooks.py check --seed $(or $(SEED),1) $(NB)

colab: $(READY)  ## run 01, 02 and 05 with Colab's versions, on the built wheel (NB=03, NB=all)
	$(BIN)/python tools/colab.py $(NB)

release: $(READY)  ## rehearse a release: build, install elsewhere, tour (TAG=v0.1.0, FULL=1)
	$(BIN)/python tools/release.py $(if $(TAG),--tag $(TAG)) $(if $(FULL),--full)

lint: $(READY)  ## ruff: style of code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy
	$(BIN)/mypy

nightly: $(SITE_READY)  ## what takes too long for every change: more seeds, all of it with Colab's versions
	$(BIN)/python tools/notebooks.py check --seed 2
	$(BIN)/python tools/notebooks.py check --seed 3
	$(BIN)/python -m caufvae_lite tour --seed 3 --out build/tour-3
	$(BIN)/python -m caufvae_lite sweep --dry-run
	CAUFVAE_NIGHTLY=1 $(BIN)/python -m pytest -n 2 tests/course
	$(BIN)/python tools/colab.py all
	CAUFVAE_NIGHTLY=1 $(BIN)/python -m pytest -m browser -rs tests/browser/test_lab.py

scoreboard: $(READY)  ## compute what the scoreboard lacks (resumes; SCHEDULER=address: there)
	$(BIN)/python -m caufvae_lite sweep search scoreboard \
	    $(if $(SCHEDULER),--scheduler $(SCHEDULER))

results: $(READY)  ## compute what any table in data/results lacks (hours; resumes)
	$(BIN)/python -m caufvae_lite sweep $(if $(SCHEDULER),--scheduler $(SCHEDULER))

pretrain: $(READY)  ## train the shipped checkpoints anew
	$(BIN)/python -m caufvae_lite pretrain

site: $(SITE_READY)  ## build the site in build/site/html, offline once set up (a minute)
	OMP_NUM_THREADS=2 $(BIN)/python tools/website.py
	$(BIN)/python -m pytest tests/site

browser: site  ## chromium over the built site and over JupyterLab; pictures in build/browser
	$(BIN)/python -m pytest -m browser tests/browser

inlab: $(SITE_READY)  ## chromium over JupyterLab only: Run All of 01, the sliders of 05 (a minute)
	$(BIN)/python -m pytest -m browser -rs tests/browser/test_lab.py

links: $(SITE_READY)  ## ask every address outside that pages link to whether it is there
	$(BIN)/python tools/website.py --links

pdf: site  ## print every lesson from the site to build/pdf, by chromium
	$(BIN)/python tools/pdf.py $(NB)

slug: $(READY)  ## rename the repository in badges and install cells: SLUG=owner/name
	$(BIN)/python tools/notebooks.py slug $(SLUG)

course: $(READY)  ## generate the assignments' release and solutions (SEED=2027: that year's)
	$(BIN)/python -m caufvae_lite.check release --nbgrader build/course/nbgrader \
	    $(if $(SEED),--year $(SEED) --out build/course/$(SEED))

grade: $(READY)  ## grade submissions: SUB=folder or notebook (FORMAT=json, SEED=2027)
	$(BIN)/python -m caufvae_lite.check grade $(SUB) --format $(or $(FORMAT),table) \
	    $(if $(SEED),--year $(SEED))

clean:  ## remove .venv and build
	rm -rf .venv build

$(SITE_READY): $(READY) constraints/docs.txt
	@echo "Adding Sphinx and Playwright to .venv. (Log: .venv/setup-site.log)"
	@$(BIN)/python -m pip install --disable-pip-version-check \
	    $(if $(CONSTRAINTS),-c $(CONSTRAINTS) -c constraints/docs.txt) -e '.[docs,browser]' \
	    > .venv/setup-site.log 2>&1 || { tail -20 .venv/setup-site.log; exit 1; }
	@touch $@

$(READY): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	    "Python 3.11 or newer is needed, $(PYTHON) is %d.%d: make PYTHON=/path/to/python" % v[:2])'
	@echo "Setting up .venv with some 200 packages: a few minutes, once. (Log: .venv/setup.log)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --disable-pip-version-check \
	    $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) \
	    $(if $(CONSTRAINTS),$(shell grep '^torch==' $(CONSTRAINTS))) -e '.[test]' \
	    > .venv/setup.log 2>&1 || { tail -20 .venv/setup.log; exit 1; }
	@touch $@
