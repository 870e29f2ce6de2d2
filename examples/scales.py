"""Answers on a scale from 1 to 7, as one question a row of a table."""

import sys

from spectrum_trl import SpectrumModel

model = SpectrumModel.from_pretrained(sys.argv[1])
asked = ["How wrong is it to cross an empty street at a red light?", "How proud are you of your country?"]
description = "Answers of different people, from 1 (not at all) to 7 (very)."
scale = [str(n) for n in range(1, 8)]
table = model.probabilities(scale, questions=[{"description": description, "input": one} for one in asked])
print(table.pivot(index="question", columns="answer", values="normalised"))
