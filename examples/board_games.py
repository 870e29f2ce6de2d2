"""Board games at random, with and without a description (spectrum-trl's model as the first argument)."""

import sys

from spectrum_trl import SpectrumModel

model = SpectrumModel.from_pretrained(sys.argv[1])
games = ["Carcassonne", "Azul", "Go", "Pandemic"]
print(model.sample(5, description="Names of board games.", max_new_tokens=12))
print(model.sample(5, examples=games, max_new_tokens=12))
print(model.distribution(description="Names of board games.", examples=games, max_new_tokens=8))
