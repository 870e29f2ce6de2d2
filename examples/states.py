"""A state of the USA at random: an ordinary chat model names the same one again and again."""

import sys
from collections import Counter

from spectrum_trl import SpectrumModel

model = SpectrumModel.from_pretrained(sys.argv[1])
samples = model.sample(50, description="One of the 50 states of the USA, picked uniformly at random.")
print(Counter(sample.text for sample in samples).most_common(10))
