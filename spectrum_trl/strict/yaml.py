"""Find repeated keys in YAML, of which loaders silently keep the last."""

from collections.abc import Iterator

import yaml


def repeated_keys(node: yaml.Node | None, seen: dict[int, bool] | None = None) -> Iterator[str]:
    """Yield a message with line number for each repeated key of a mapping, at any depth.

    A value that contains itself is reported too.

    Args:
        node: The result of ``yaml.compose``.
        seen: Visited nodes by id, and whether the visit is complete: aliases lead to the same node again.
    """
    seen = {} if seen is None else seen
    if node is None or id(node) in seen:
        if node is not None and not seen[id(node)]:
            yield f"line {node.start_mark.line + 1}: a value contains itself through an alias; write it out"
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
