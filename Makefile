# What people and CI type.  `make` alone lists the targets; each line marked ## is its own documentation.
.DEFAULT_GOAL := help
.PHONY: help setup repro results test test-slow verify params lint hooks storage lock benchmark simulate peers clean

# The environment of this folder comes first, so nothing needs to be activated.
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH"

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/requirements.lock ## Build .venv from requirements.lock (only when it has changed)

.venv/requirements.lock: requirements.lock tools/setup.sh
	@tools/setup.sh

repro: setup ## Run the whole line with DVC, then show the results
	@$(RUN) dvc repro
	@$(RUN) python -m tools.results

results: setup ## Show the results, and write them into README.md
	@$(RUN) python -m tools.results --readme

test: setup ## Run the tests (minutes), a file at a time on every core
	@$(RUN) python -m pytest --numprocesses auto --dist loadfile $(ARGS)

test-slow: setup ## Run the tests that take long: simulations, whole experiments
	@$(RUN) python -m pytest -m slow $(ARGS)

verify: setup ## Prove that a fresh clone reproduces dvc.lock to the byte, whatever the number of threads
	@$(RUN) python -m tools.verify $(ARGS)

params: setup ## Compose params/ into params.yaml
	@$(RUN) python -m tools.params

lint: setup ## Run every pre-commit hook over every file
	@$(RUN) pre-commit run --all-files

hooks: setup ## Install the git hooks (pre-commit, pre-push, post-checkout)
	@$(RUN) pre-commit install --hook-type pre-commit --hook-type pre-push --hook-type post-checkout

storage: setup ## Serve an S3 remote on this machine, in .storage/ (Ctrl-C stops it)
	@exec env $(RUN) python -m tools.storage

lock: ## Resolve pyproject.toml into requirements.lock again (ARGS=--upgrade for newer versions)
	@tools/lock.sh $(ARGS)

benchmark: setup ## Measure side by side and rewrite benchmarks/RESULTS.md (ARGS=line, peers, train, …)
	@$(RUN) python -m benchmarks.run $(ARGS)

simulate: setup ## Blow real months of flights up to true size, to measure scale (ARGS="--from … --to …")
	@$(RUN) python -m tools.simulate $(ARGS)

peers: setup ## Build .venv/peers: what only benchmarks run (Spark, LightGBM; 800 MB)
	@tools/peers.sh

clean: ## Remove outputs from the workspace; the DVC cache keeps them (`dvc checkout` brings them back)
	rm -rf data models bundles reports dvc_plots .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
