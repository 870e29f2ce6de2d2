"""Examples steer the style: after card games in lower case come card games in lower case."""

import sys

from spectrum_trl import SpectrumModel

model = SpectrumModel.from_pretrained(sys.argv[1])
for examples in (["Poker", "Bridge", "Rummy"], ["poker", "bridge", "rummy"]):
    found = model.probabilities(["Hearts", "hearts"], description="Card games.", examples=examples)
    print(examples, dict(zip(found.answers, found.normalised, strict=True)), found.coverage)
