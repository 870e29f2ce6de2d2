"""Copy a run's result beside the demo's recipe, in five digits: `make demo-all-tokens` does."""

import json
import sys
from pathlib import Path
from typing import Any

from spectrum_trl.files import write_atomic
from spectrum_trl.paths import bundled
from spectrum_trl.tiny import scores

RECORD = bundled("recipes") / "demo_all_tokens.json"


def rounded(value: Any) -> Any:
    """Return mappings and lists with five digits after the point, a fraction of any interval's width."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, 5) if isinstance(value, float) else value


def main(run: str) -> None:
    """Write the record from a run's folder."""
    found = rounded(scores.as_json(scores.load(Path(run) / "all_tokens.json")))
    # A row a line.
    tasks = ",\n".join(
        f"{json.dumps(task)}: [\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "]"
        for task, rows in found.pop("rows").items()
    )
    with write_atomic(RECORD) as temporary:
        temporary.write_text(f'{json.dumps(found)[:-1]}, "rows": {{\n{tasks}}}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
