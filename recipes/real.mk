# The proof on real models: `make real`. Of each model, the starting point and three tuned columns are evaluated on
# what none of them was trained on, and shown on one page, runs/real/MODEL/report.html. Every step is kept in runs/real:
# the same command resumes, however it was stopped. A further model is a recipe, a MODEL_OF_ and a FORMATS_OF_; a further
# column is a name in TUNED with its FLAGS_OF_.
#
# Hardware: a CPU with 2 cores and 16 GB. Expected time: hours; `make real-small` is minutes, on SmolLM2 alone.
# Data: whatever `spectrum-trl data status` shows as present. Models: folders below $SPECTRUM_MODELS, else from the Hub.
REAL ?= runs/real
REAL_SMALL ?= runs/real_small
MODELS ?= gemma3_270m smollm2_135m
MODEL_OF_gemma3_270m := $(if $(SPECTRUM_MODELS),$(SPECTRUM_MODELS)/gemma-3-270m,google/gemma-3-270m)
MODEL_OF_smollm2_135m := $(if $(SPECTRUM_MODELS),$(SPECTRUM_MODELS)/smollm2-135m-instruct,HuggingFaceTB/SmolLM2-135M-Instruct)
# Prompts of the starting model; the best of them is what tuning must beat.
FORMATS_OF_gemma3_270m := colon spectrum
FORMATS_OF_smollm2_135m := colon chat verbalized spectrum
TUNED := all_tokens lora full
FLAGS_OF_all_tokens := --assistant_only_loss false
FLAGS_OF_lora := --use_peft true --lora_r 16 --lora_alpha 32 --lora_target_modules all-linear --learning_rate 2e-4
# The new role tokens are in the embedding, which is trained whole.
FLAGS_OF_lora_of_gemma3_270m := --lora_modules_to_save embed_tokens,lm_head
# Training tasks whose held-out individuals are evaluated. Not polis_comment: comments are also inputs of polis_vote.
INDIVIDUALS := polis_vote popquorn_individual generativesocialchoice_validation \
  generativesocialchoice_freetext lewidi_csc_sarcasm_detection_individual lewidi_mp_irony_detection_individual
comma := ,
blank := $() $()
# What tuning costs is evaluated whole: no column is trained on it.
COSTS := plain_text$(comma)spectrum_icl_gsm8k_answer_from_question$(comma)spectrum_icl_jeopardy_answer_prediction
ROWS := spectrum_icl_heldout$(comma)spectrum_dist$(comma)spectrum_div
EVALUATED := $(ROWS)$(comma)$(subst $(blank),$(comma),$(INDIVIDUALS:%=spectrum_icl_%))
# Shares and lists of answers can be asked for in words.
EVALUATED_verbalized := spectrum_dist$(comma)spectrum_div
# The share that the recipes hold out. Of held-out tasks, too, no more is evaluated, to save time.
EVALUATION := --dtype bfloat16 --metadata held_out_share=0.1,sequences=40,max_tokens=512,samples=50
EVALUATION_OF_COSTS := --dtype bfloat16 --metadata sequences=20,max_tokens=512
# Added to every training and every evaluation.
REAL_TRAINING ?=
REAL_EVALUATION ?=

# Before anything is computed: make splits names at spaces, and without a folder steps would be kept in /.
ifneq ($(filter real real-small,$(MAKECMDGOALS)),)
$(foreach name,REAL REAL_SMALL,$(if $(word 2,$($(name))),$(error $(name): '$($(name))' holds a space; name a folder without)))
$(foreach name,REAL REAL_SMALL MODELS,$(if $(strip $($(name))),,$(error $(name) is empty; set it, or leave it out)))
KNOWN := $(sort $(patsubst MODEL_OF_%,%,$(filter MODEL_OF_%,$(.VARIABLES))))
$(foreach model,$(MODELS),$(if $(MODEL_OF_$(model)),,$(error MODELS: no model is named '$(model)'; name some of: $(KNOWN))))
endif

.PHONY: real real-small
real: $(MODELS:%=$(REAL)/%/report.html) ## tune real models, evaluate them and their starting points, write a page each

real-small: ## the same in minutes, too small to show anything but that it runs
	$(MAKE) real REAL=$(REAL_SMALL) MODELS=smollm2_135m EVALUATED=spectrum_quick,spectrum_icl_polis_vote \
	  EVALUATED_verbalized=spectrum_dist_urn,spectrum_div_rng_1_100 \
	  REAL_TRAINING='--max_steps 4 --max_sequences 2 --max_length 128 --eval_steps 2 --save_steps 2' \
	  EVALUATION='--metadata held_out_share=0.1,sequences=2,max_tokens=256,samples=2' \
	  EVALUATION_OF_COSTS='--metadata sequences=2,max_tokens=256' REAL_EVALUATION='--limit 2'

# What a step was made with; one whose recipe or options have changed is made again, and training refuses to go on
# with other settings than it began with.
define noted
$(REAL)/$(1)/$(2).options: export OPTIONS = $(3)
$(REAL)/$(1)/$(2).options: FORCE
	@mkdir -p $$(@D); printf '%s\n' "$$$$OPTIONS" | cmp -s - $$@ || printf '%s\n' "$$$$OPTIONS" > $$@
endef
.PHONY: FORCE

define tuned
$(call noted,$(1),$(2),$(FLAGS_OF_$(2)) $(FLAGS_OF_$(2)_of_$(1)) $(REAL_TRAINING))

$(REAL)/$(1)/$(2).trained: recipes/$(1).yaml $(REAL)/$(1)/$(2).options | setup
	$(BIN)/accelerate launch --quiet recipes/$(1).yaml --model_name_or_path '$(MODEL_OF_$(1))' \
	  --output_dir $(REAL)/$(1)/$(2) $(FLAGS_OF_$(2)) $(FLAGS_OF_$(2)_of_$(1)) $(REAL_TRAINING) \
	  --resume_from_checkpoint auto
	@touch $$@

$(REAL)/$(1)/$(2).evaluated: $(REAL)/$(1)/$(2).trained $(REAL)/$(1)/evaluation.options
	$(BIN)/spectrum-trl eval $(REAL)/$(1)/$(2) --tasks '$(EVALUATED)' $(EVALUATION) $(REAL_EVALUATION) \
	  --output $(REAL)/$(1)/results_$(2)
	$(BIN)/spectrum-trl eval $(REAL)/$(1)/$(2) --tasks '$(COSTS)' $(EVALUATION_OF_COSTS) $(REAL_EVALUATION) \
	  --output $(REAL)/$(1)/costs_$(2)
	@touch $$@
endef

define started
$(REAL)/$(1)/start_$(2).evaluated: $(REAL)/$(1)/evaluation.options | setup
	$(BIN)/spectrum-trl eval '$(MODEL_OF_$(1))' --format $(2) --tasks '$(or $(EVALUATED_$(2)),$(EVALUATED))' $(EVALUATION) $(REAL_EVALUATION) \
	  --output $(REAL)/$(1)/results_start_$(2)
	$(if $(EVALUATED_$(2)),,$(BIN)/spectrum-trl eval '$(MODEL_OF_$(1))' --format $(2) --tasks '$(COSTS)' \
	  $(EVALUATION_OF_COSTS) $(REAL_EVALUATION) --output $(REAL)/$(1)/costs_start_$(2))
	@mkdir -p $$(@D) && touch $$@
endef

define paged
$(call noted,$(1),evaluation,$(EVALUATED) $(EVALUATION) $(EVALUATION_OF_COSTS) $(REAL_EVALUATION))

$(REAL)/$(1)/report.html: $(FORMATS_OF_$(1):%=$(REAL)/$(1)/start_%.evaluated) $(TUNED:%=$(REAL)/$(1)/%.evaluated)
	$(BIN)/spectrum-trl report \
	  $(foreach format,$(FORMATS_OF_$(1)),$(foreach part,results $(if $(EVALUATED_$(format)),,costs),start_$(format)=$(REAL)/$(1)/$(part)_start_$(format))) \
	  $(foreach column,$(TUNED),$(foreach part,results costs,$(column)=$(REAL)/$(1)/$(part)_$(column))) -o $$@ --markdown $$(@D)/summary.md --csv $$(@D)/summary.csv
endef

$(foreach model,$(MODELS),$(foreach column,$(TUNED),$(eval $(call tuned,$(model),$(column)))))
$(foreach model,$(MODELS),$(foreach format,$(FORMATS_OF_$(model)),$(eval $(call started,$(model),$(format)))))
$(foreach model,$(MODELS),$(eval $(call paged,$(model))))
