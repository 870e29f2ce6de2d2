"""Find keys that a YAML file gives twice: every loader keeps the last and says nothing."""

from collections.abc import Iterator

import yaml


def repeated_keys(node: yaml.Node | None, seen: dict[int, bool] | None = None) -> Iterator[str]:
    """Yield a problem, with its line, for each key that repeats another of the same mapping, at any depth.

    A value that contains itself is a problem too.

    Args:
        node: What ``yaml.compose`` returned.
        seen: Nodes that were visited, and whether that is over: aliases lead to the same one again.
    """
    seen = {} if seen is None else seen
    if node is None or id(node) in seen:
        if node is not None and not seen[id(node)]:
            yield f"line {node.start_mark.line + 1}: a value contains itself by an alias; write it out"
        return
    seen[id(node)] = False
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from repeated_keys(item, seen)
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            line, name = key.start_mark.line + 1, str(key.value)
            if name in lines:
                yield f"line {line}: key {name[:60]!r} repeats line {lines[name]}; keep one of them"
            lines[name] = line
            yield from repeated_keys(value, seen)
    seen[id(node)] = True
