"""Find the columns that templates name."""

from collections.abc import Sequence
from string import Formatter

from spectrum_trl.errors import UserError


def columns_of(templates: Sequence[str]) -> list[str]:
    """Return the columns that templates name as ``{column}``, without duplicates.

    Raises:
        UserError: If braces do not match, or hold something other than a column's name.
    """
    found, problems = dict[str, None](), []
    for template in templates:
        try:
            slots = [slot for slot in Formatter().parse(template) if slot[1] is not None]
        except ValueError as error:
            problems.append(f"{template!r}: {error}; write {{{{ and }}}} for braces that name no column")
            continue
        for _, name, form, conversion in slots:
            if not name or form or conversion or set(name) & set(".[]"):
                problems.append(
                    f"{template!r}: expected a column's name in braces, without any of .[]!:, found {name!r}"
                )
            else:
                found[name] = None
    if problems:
        raise UserError(*problems)
    return list(found)
