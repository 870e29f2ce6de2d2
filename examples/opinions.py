"""GlobalOpinionQA: shares of answers in ten countries, scored (its CSV file as the second argument)."""

import ast
import sys

import pandas as pd

from spectrum_trl import SpectrumModel

table = pd.read_csv(sys.argv[2]).head(40)
shares = table.selections.str.extract(r"(\{.*\})")[0].map(ast.literal_eval)
table = table.assign(group=shares.map(list), shares=shares.map(lambda one: list(one.values())))
table = table.explode(["group", "shares"]).assign(options=lambda t: t.options.map(ast.literal_eval))
table = table[table.group.isin(table.group.value_counts().index[:10])]
print(SpectrumModel.from_pretrained(sys.argv[1]).survey(table).scores)
