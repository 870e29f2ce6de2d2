"""Two people's tastes: what each says of a new dish, given what they said before."""

import sys

from spectrum_trl import SpectrumModel

model = SpectrumModel.from_pretrained(sys.argv[1])
ratings = {"mild": ["1", "7", "2", "6"], "spicy": ["7", "2", "6", "3"]}
dishes = ["vindaloo", "rice pudding", "kimchi stew", "mashed potatoes"]
for person, stars in ratings.items():
    said = model.update(
        list(zip(dishes, stars, strict=True)), description="One person rates dishes from 1 to 7."
    )
    print(person, said.probabilities([str(n) for n in range(1, 8)], input="chili con carne").normalised)
