"""Find keys that a YAML file gives twice: every loader keeps the last and says nothing."""

from collections.abc import Iterator

import yaml


def repeated_keys(node: yaml.Node | None) -> Iterator[str]:
    """Yield a problem, with its line, for each key that repeats another of the same mapping, at any depth.

    Args:
        node: What ``yaml.compose`` returned.
    """
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from repeated_keys(item)
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            line, name = key.start_mark.line + 1, str(key.value)
            if name in lines:
                yield f"line {line}: key {name[:60]!r} repeats line {lines[name]}; keep one of them"
            lines[name] = line
            yield from repeated_keys(value)
