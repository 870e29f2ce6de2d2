# Recipes of everyday work; `make` or `make help` lists them.
VENV ?= .venv
BIN := $(VENV)/bin
MODEL ?= spectrum-trl/tiny-base
RECIPE ?= recipes/demo.yaml
RUN ?= runs/demo
ARGS ?=
# `accelerate launch` gives a CPU run one thread unless it is told.
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
# Long busy-waiting slows a shared machine badly; a short while is worth it.
export GOMP_SPINCOUNT ?= 3000

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-seeds demo-all-tokens leaks preview train eval eval-capability tasks data report base check test test-all bench bench-train bench-data bench-eval bench-intervals bench-start

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(VENV)/.installed ## install into .venv (CPU build of torch first where there is one)

# The task files are copied into lm-eval's folder when the package is installed.
$(VENV)/.installed: pyproject.toml constraints.txt $(wildcard tasks/*/*)
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup ## Spectrum-tune the tiny base model on the CPU, beside its siblings in one table
	HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/demo.yaml --output_dir $(RUN) --overwrite true $(ARGS)

demo-seeds: setup ## the demo again with two other seeds of tuning, data and order included
	for seed in 1 2; do HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/demo.yaml --seed $$seed --mixture_seed $$seed \
	  --output_dir runs/demo_seed_$$seed --overwrite true $(ARGS) || exit; done

demo-all-tokens: setup ## tune on all tokens of the demo's data, and record the result that the demo shows
	HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/demo.yaml --assistant_only_loss false --recorded "" \
	  --output_dir runs/demo_all_tokens --overwrite true $(ARGS)
	$(BIN)/python -m tests.tiny.record runs/demo_all_tokens

leaks: setup ## search all that the embedded models and the demo train on for what is evaluated
	$(BIN)/python -m tests.tiny.leaks

preview: setup ## show what RECIPE trains on, trained tokens in colour
	$(BIN)/spectrum-trl preview $(RECIPE) $(ARGS)

train: setup ## train from RECIPE, e.g. make train RECIPE=recipes/lora.yaml ARGS='--max_steps 100'
	$(BIN)/accelerate launch --quiet $(RECIPE) $(ARGS)

eval: setup ## measure MODEL on the three axes, e.g. make eval MODEL=runs/demo ARGS='--tasks spectrum_dist'
	$(BIN)/spectrum-trl eval $(MODEL) $(ARGS)

# What tuning may cost: stock tasks of lm-eval, or with QUICK=1 its tinyBenchmarks of 100 items each.
CAPABILITY := mmlu,gpqa_main_zeroshot,hellaswag,winogrande,arc_challenge,drop,truthfulqa_mc2,ifeval
eval-capability: $(VENV)/.capability ## measure MODEL on stock benchmarks (QUICK=1: 100 items each)
	$(if $(QUICK),$(BIN)/pip install --quiet git+https://github.com/felipemaiapolo/tinyBenchmarks)
	$(BIN)/lm_eval --model hf --model_args pretrained=$(MODEL:spectrum-trl/tiny-%=spectrum_trl/tiny/%_model) --tasks $(if $(QUICK),tinyBenchmarks,$(CAPABILITY)) --output_path runs/capability $(ARGS)

$(VENV)/.capability: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[capability]'
	@touch $@

tasks: setup ## write the task files again, after a task was added
	$(BIN)/python -m spectrum_trl.evaluation.write_tasks
	$(BIN)/python -m spectrum_trl.suite.write_docs

data: setup ## the Suite's data, e.g. make data ARGS='fetch polis'
	$(BIN)/spectrum-trl data $(or $(ARGS),status)

report: setup ## print the table and draw the curves of RUN again
	$(BIN)/spectrum-trl report $(RUN)

# One thread, because sums of several depend on their number, and half a million parameters hardly use a second.
# The other two keep sums from depending on where numbers lie in memory and on what more a processor can do than
# AVX2, so that the weights have the same hash each time.
base: export OMP_NUM_THREADS := 1
base: export MKL_CBWR := AVX2
base: export ATEN_CPU_CAPABILITY := avx2
base: setup ## make both tiny models again, from nothing (an hour)
	HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/tiny_pretraining.yaml --overwrite true
	HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/tiny_base.yaml --overwrite true
	HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/tiny_instruct.yaml --overwrite true

check: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup ## run all but the slow tests (no network, no GPU; minutes)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile -m "not slow" $(ARGS)

test-all: setup ## run every test, as CI does
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile $(ARGS)

bench: setup ## time data building, training steps and evaluation of the tiny model
	$(BIN)/python -m tests.bench $(ARGS)

bench-train: setup ## compare ways to fill a training batch: trained tokens per second, padded and packed
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.bench_train $(ARGS)

bench-data: setup ## time data building: all that is there, its growth with the rows, its memory
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.bench_data $(ARGS)

bench-eval: setup ## compare ways to score and sample: lm-eval's hf, ours, and a hand-written ideal
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.bench_eval $(ARGS)

bench-intervals: setup ## simulate how often intervals hold, and write docs/intervals.md
	$(BIN)/python -m tests.bench_intervals $(ARGS)

bench-start: setup ## time refusals of misspelt names, lists, and the start of preview and eval
	$(BIN)/python -m tests.bench_start $(ARGS)
