"""Awkward situations as JSON: fields jointly, and one given another."""

import sys
from typing import Literal

from pydantic import BaseModel

from spectrum_trl import SpectrumModel


class Moment(BaseModel):
    """What is sampled."""

    place: Literal["office", "party", "train"]
    awkward: Literal[1, 2, 3]


found = SpectrumModel.from_pretrained(sys.argv[1]).probabilities_json(
    Moment, description="An awkward moment, as JSON."
)
print(found.marginal("place"), found.marginal("awkward", given={"place": "train"}), found.coverage)
