"""Generate the chat template of each family from its row and ``chat_templates/family.jinja.in``.

python -m spectrum_trl.prompts.write_templates     # after changing either; a test compares
"""

from jinja2 import Environment, StrictUndefined

from spectrum_trl.paths import bundled
from spectrum_trl.prompts.families import Family, families

SOURCE = "family.jinja.in"


def template_of(family: Family) -> str:
    """Return the text of a family's template."""
    source = (bundled("chat_templates") / SOURCE).read_text(encoding="utf-8")
    # Other marks than those of the templates that it writes.
    environment = Environment(
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    before, after = _literal(family.header).split("ROLE")
    return environment.from_string(source).render(
        name=family.name,
        about=family.about.replace("\n", "\n    "),
        end_of_turn=_literal(family.end_of_turn),
        bos=family.bos,
        before=before,
        after=after,
        behind=_literal(family.behind),
    )


def _literal(text: str) -> str:
    """Escape text for a single-quoted literal of a template."""
    return text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")


def main() -> None:
    """Write the templates of all families."""
    for family in families().values():
        file = bundled("chat_templates") / f"{family.name}.jinja"
        file.write_text(template_of(family), encoding="utf-8")


if __name__ == "__main__":
    main()
