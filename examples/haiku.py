"""Different haikus, each with its log-probability."""

import sys

from spectrum_trl import SpectrumModel

model = SpectrumModel.from_pretrained(sys.argv[1])
for sample in model.sample(3, seed=1, description="A haiku.", input="first frost", max_new_tokens=40):
    print(f"{sample.text}\n({sample.log_probability:.1f} nats)\n")
