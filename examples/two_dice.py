"""The sum of two dice, beside the true probabilities."""

import sys

from spectrum_trl import SpectrumModel

model = SpectrumModel.from_pretrained(sys.argv[1])
sums = range(2, 13)
found = model.probabilities(list(map(str, sums)), description="The sum of two fair dice, thrown together.")
for total, share in zip(sums, found.normalised, strict=True):
    print(f"{total:2}: {share:.3f} (exactly {(6 - abs(7 - total)) / 36:.3f})")
print(f"coverage {found.coverage:.3g}")
