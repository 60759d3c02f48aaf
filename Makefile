# What people and CI type.  `make` alone lists the targets; each line marked ## is its own documentation.
.DEFAULT_GOAL := help
.PHONY: help setup repro try main results compare ranking experiments tune cross-validate promote rollback monitor arrive cycle serve \
	test test-slow networks test-networks onnx-web verify params new-dataset new-pictures lint hooks storage lock benchmark simulate peers tracking kubeflow clean

A ?= main
B ?= workspace
DATASET ?= nycflights

# The environment of this folder comes first, so nothing needs to be activated.
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH"

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/requirements.lock .venv/plots.html ## Build .venv from requirements.lock (only when it has changed)

.venv/requirements.lock: requirements.lock tools/setup.sh
	@tools/setup.sh

# The page of `dvc plots` with its drawing scripts in it: one file that can be mailed.
.venv/plots.html: .dvc/plots/page.html tools/vega.py .venv/requirements.lock
	@$(RUN) python -m tools.vega

repro: setup ## Run the whole line with DVC, then show the results
	@$(RUN) python -m tools.line
	@$(RUN) python -m tools.results

try: setup ## Run the line on a few rows (DATASET=nycflights), without the page on the data: seconds, and no results
	@$(RUN) dvc exp run -S scale=tiny report@$(DATASET) package@$(DATASET) $(ARGS)

main: setup ## Back to the committed parameters, metrics and outputs after an experiment; edited files stay
	@$(RUN) python -m tools.committed

results: setup ## Show the results, and write them, the line and a picture of it all into README.md
	@$(RUN) python -m tools.results --readme
	@$(RUN) python -m tools.pictures

compare: setup ## Compare two revisions (A=main B=my-exp), with an interval and a test for every metric
	@$(RUN) python -m stages.compare $(A) $(B) $(ARGS)

ranking: setup ## Rank every experiment against the baseline, corrected for looking at many (ARGS="--baseline main")
	@$(RUN) python -m stages.compare --all $(ARGS)

experiments: setup ## One line per experiment: when, what was changed, what came of it (ARGS="--baseline main")
	@$(RUN) python -m tools.experiments $(ARGS)

tune: setup ## Search for better settings of the model (DATASET=nycflights); stop it and go on whenever you like
	@$(RUN) python -m stages.tune $(DATASET) $(ARGS)

cross-validate: setup ## Train and judge on folds in order of time (DATASET=nycflights, ARGS="--folds 5")
	@$(RUN) python -m stages.cross_validate $(DATASET) $(ARGS)

promote: setup ## Make a revision the champion if it is shown to be better (C=my-exp, DATASET=nycflights)
	@$(RUN) python -m stages.promote $(C) --dataset $(DATASET) $(ARGS)

rollback: setup ## Make the champion before this one the champion again (DATASET=nycflights)
	@$(RUN) python -m stages.promote --rollback --dataset $(DATASET) $(ARGS)

monitor: setup ## Watch a model: what has moved since it learnt, and does it matter? (DATASET=nycflights)
	@$(RUN) python -m stages.monitor $(DATASET) $(ARGS)

arrive: setup ## Replay real vintages as they arrived, and show what each touches (ARGS=weather; by default rates)
	@$(RUN) python -m tools.arrive $(or $(ARGS),rates)

cycle: setup ## Take in what has arrived, watch, and train and promote where it is time (DATASET=nycflights)
	@$(RUN) python -m stages.cycle $(DATASET) $(ARGS)

serve: setup ## Answer over HTTP for every bundle, on http://127.0.0.1:8000 (Ctrl-C stops it; ARGS="--port 8001")
	@exec env $(RUN) python -m stages.serve $(ARGS)

test: setup ## Run the tests (minutes), a file at a time on every core
	@$(RUN) python -m pytest --numprocesses auto --dist loadfile $(ARGS)

test-slow: setup ## Run the tests that take long: simulations, whole experiments
	@$(RUN) python -m pytest -m slow --numprocesses auto --dist loadfile --timeout 1800 --durations 20 $(ARGS)

networks: setup ## Add the optional layer to .venv: neural networks, ONNX (1.1 GB)
	@tools/networks.sh

onnx-web: setup ## Fetch ONNX Runtime Web, by which an exported page runs its model (14 MB, by npm)
	@tools/onnx_web.sh

test-networks: networks ## Run the tests of the optional layer (minutes)
	@$(RUN) python -m pytest -m networks --numprocesses auto --dist loadfile --durations 10 $(ARGS)

verify: setup ## Prove that a fresh clone reproduces dvc.lock to the byte, whatever the number of threads
	@$(RUN) python -m tools.verify $(ARGS)

params: setup ## Compose params/ into params.yaml
	@$(RUN) python -m tools.params

new-dataset: setup ## Write a dataset from a CSV (NAME=wine TASK=multiclass CSV=wine.csv TARGET=quality), or to try it
	@$(RUN) python -m tools.new_dataset $(NAME) --task $(TASK) $(if $(CSV),--csv "$(CSV)") $(if $(TARGET),--target "$(TARGET)")

new-pictures: setup ## Write a dataset from a folder of pictures (NAME=pets FOLDER=photos, with a folder for each class; SIZE=32x32x3 scales)
	@$(RUN) python -m tools.new_pictures $(NAME) "$(FOLDER)" $(if $(SIZE),--size $(SIZE))

lint: setup ## Run every pre-commit hook over every file
	@$(RUN) pre-commit run --all-files

hooks: setup ## Install the git hooks (pre-commit, pre-push, post-checkout)
	@$(RUN) pre-commit install --hook-type pre-commit --hook-type pre-push --hook-type post-checkout

storage: setup ## Serve an S3 remote on this machine, in .storage/ (Ctrl-C stops it)
	@exec env $(RUN) python -m tools.storage

lock: ## Resolve pyproject.toml into requirements.lock again (ARGS=--upgrade for newer versions)
	@tools/lock.sh $(ARGS)

benchmark: setup ## Measure side by side and rewrite benchmarks/RESULTS.md (ARGS=line, peers, train, ...)
	@$(RUN) python -m benchmarks.run $(ARGS)

simulate: setup ## Blow real months of flights up to true size, to measure scale (ARGS="--from ... --to ...")
	@$(RUN) python -m benchmarks.simulate $(ARGS)

peers: setup ## Build .venv/peers: what only benchmarks run (Spark, LightGBM, Evidently; 3.4 GB)
	@tools/peers.sh

tracking: setup ## Build .venv/tracking: an MLflow server (ARGS=serve starts it)
	@tools/tracking.sh $(ARGS)

kubeflow: setup ## Compile dvc.yaml into a Kubeflow pipeline, deploy/kubeflow/pipeline.yaml, in .venv/kubeflow (80 MB)
	@tools/kubeflow.sh

clean: ## Remove outputs from the workspace; the DVC cache keeps them (`dvc checkout` brings them back)
	rm -rf data/*/ models bundles reports comparisons cross_validation dvc_plots .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
