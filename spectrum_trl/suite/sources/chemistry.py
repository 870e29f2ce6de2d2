"""Measured properties of substances (ur-whitelab/BO-ICL, MIT): solubility (ESOL) and methane coupling.

A few molecules occur more than once, as separate measurements: all are kept. Numbers keep the file's text.
The process descriptions of the second task are the file's; each occurs once.
"""

from functools import partial

from spectrum_trl.suite.sequences.builders import as_json
from spectrum_trl.suite.sequences.declared import declared_task
from spectrum_trl.suite.source import Source, github

ESOL = "chemistry/esol_iupac.csv"
OXIDATIVE = "chemistry/train_data_num_feats.csv"
SOURCE = Source(
    name="chemistry",
    title="ur-whitelab/BO-ICL",
    licence="MIT (README badge)",
    citation="Ramos et al., Bayesian Optimization of Catalysts With In-context Learning, arXiv 2304.05341",
    downloads=github(
        "ur-whitelab/BO-ICL",
        "43d38efca6fd91116c7550625ffb7859b6185b54",
        {ESOL: "paper/dataset/data/esol_iupac.csv", OXIDATIVE: "paper/dataset/data/train_data_num_feats.csv"},
    ),
    size=1_967_960,
)
NOTATIONS = ("SMILES", "SELFIES", "InChI", "IUPAC")
SOLUBILITY = "measured log(solubility:mol/L)"

ESOL_DESCRIPTIONS = (
    "Solubility in water: for each molecule, given in several notations, the measured decimal logarithm of "
    "its solubility in mol/L.",
    "Input: one organic compound as SMILES, SELFIES, InChI and (where known) IUPAC name. Output: log10 of "
    "how many moles of it dissolve in a litre of water, as measured.",
    "Measured log solubilities (mol/L, water) of small molecules.",
)
OXIDATIVE_DESCRIPTIONS = (
    "Oxidative coupling of methane. Input: how a catalyst was made and the reaction was run. Output: the "
    "yield of C2 products in percent.",
    "Results of catalysis experiments: from catalyst, temperature, gas flows and contact time, the measured "
    "C2 yield (%) of coupling methane with oxygen.",
    "Which C2 yield, in percent, did each of these methane coupling experiments reach?",
)


task = partial(declared_task, source=SOURCE, kind="numeric", split="test")
TASKS = [
    task(
        "chemistry_esol",
        summary="measured solubilities of molecules in water",
        file=ESOL,
        columns=NOTATIONS,
        input=lambda row: as_json({name: row[name] for name in NOTATIONS}),
        output=SOLUBILITY,
        descriptions=ESOL_DESCRIPTIONS,
        length=15,
        permutations=5,
    ),
    task(
        "chemistry_oxidative",
        summary="yields of methane coupling experiments",
        file=OXIDATIVE,
        input="prompt",
        output="C2_yield",
        descriptions=OXIDATIVE_DESCRIPTIONS,
        length=10,
    ),
]
