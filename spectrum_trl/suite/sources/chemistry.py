"""Measured properties of substances (ur-whitelab/BO-ICL, MIT): solubility (ESOL) and methane coupling.

ESOL has 927 measurements; 45 of them lack the IUPAC name, which is then left out of the JSON (the research
code writes NaN). A few molecules occur more than once, as separate measurements: all stay. Figures are
the text of the file. The process descriptions of the second task are the file's; each occurs once.
"""

from collections import Counter
from pathlib import Path

from spectrum_trl.suite.builders import Built, as_json, pooled
from spectrum_trl.suite.tables import csv_rows
from spectrum_trl.suite.task import Task

SOURCE = "ur-whitelab/BO-ICL"
LICENCE = "MIT (README badge)"
ESOL = "chemistry/esol_iupac.csv"
OXIDATIVE = "chemistry/train_data_num_feats.csv"
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


def esol(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    """Build sequences of 15 measured solubilities, from five shuffles of all."""
    yield from pooled(
        csv_rows(data_dir / ESOL, (*NOTATIONS, SOLUBILITY)),
        input=lambda row: as_json({name: row[name] for name in NOTATIONS}),
        output=SOLUBILITY,
        descriptions=ESOL_DESCRIPTIONS,
        length=15,
        permutations=5,
        seed=seed,
        dropped=dropped,
    )


def oxidative(data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    """Build sequences of ten experiments and their yields."""
    yield from pooled(
        csv_rows(data_dir / OXIDATIVE, ("prompt", "C2_yield")),
        input="prompt",
        output="C2_yield",
        descriptions=OXIDATIVE_DESCRIPTIONS,
        length=10,
        seed=seed,
        dropped=dropped,
    )


TASKS = [
    Task(
        name="chemistry_esol",
        summary="measured solubilities of molecules in water",
        licence=LICENCE,
        source=SOURCE,
        kind="numeric",
        split="test",
        files=(ESOL,),
        build=esol,
    ),
    Task(
        name="chemistry_oxidative",
        summary="yields of methane coupling experiments",
        licence=LICENCE,
        source=SOURCE,
        kind="numeric",
        split="test",
        files=(OXIDATIVE,),
        build=oxidative,
    ),
]
