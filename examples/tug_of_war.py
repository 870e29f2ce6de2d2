"""Tug of war: does Fred's side win? More so than when Fred is tired."""

import sys

from spectrum_trl import SpectrumModel

model = SpectrumModel.from_pretrained(sys.argv[1])
game = "Tug of war between Fred and Bo, who are equally strong."
for description in (game, f"{game} Fred has not slept for two nights."):
    found = model.probabilities(["Fred", "Bo"], description=f"{description} The output is the winner.")
    print(description, dict(zip(found.answers, found.normalised, strict=True)))
