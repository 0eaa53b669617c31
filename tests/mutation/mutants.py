"""All small changes of a module, as JSON lines: `python mutants.py FILE`, with mutmut's environment.

The changes are mutmut's own operators, and two of ours. mutmut itself leaves out most of what has a
decorator, which here is every property and record, and all tables. So each change is written out here as a whole
module, and `runner` loads that in place of the real one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, PositionProvider

try:
    from mutmut.mutation.mutators import mutation_operators
except ImportError:  # up to mutmut 3.4
    from mutmut.node_mutation import mutation_operators

if TYPE_CHECKING:
    from collections.abc import Iterator

# What these hold is not decided while Gatehouse runs.
_LEFT_ALONE = (cst.Annotation, cst.Import, cst.ImportFrom, cst.Decorator, cst.Assert)


class _Mutants(cst.CSTVisitor):  # type: ignore[misc]  # its package is in another environment
    """Collects the changes of every node, each with its line."""

    METADATA_DEPENDENCIES = (PositionProvider, ByteSpanPositionProvider)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, str, cst.CSTNode, cst.CSTNode]] = []
        self.spans: dict[cst.CSTNode, Any] = {}

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Collect the changes of a node; visit what is in it unless it is left alone."""
        if isinstance(node, _LEFT_ALONE) or _is_for_types(node) or _is_docstring(node):
            return False
        self.spans[node] = self.get_metadata(ByteSpanPositionProvider, node, None)
        position = self.get_metadata(PositionProvider, node, None)
        line = position.start.line if position else 0
        for name, changed in _changes(node):
            self.found.append((line, name, node, changed))
        return True


def _changes(node: cst.CSTNode) -> Iterator[tuple[str, cst.CSTNode]]:
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            yield from ((operator.__name__.removeprefix("operator_"), changed) for changed in operator(node))
    if isinstance(node, cst.If | cst.While | cst.IfExp | cst.CompIf):
        yield "condition", node.with_changes(test=_negated(node.test))
    if isinstance(node, cst.Return) and node.value is not None and not _is_none(node.value):
        yield "return", node.with_changes(value=cst.Name("None"), whitespace_after_return=cst.SimpleWhitespace(" "))


def _negated(test: cst.BaseExpression) -> cst.BaseExpression:
    inner = test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return cst.UnaryOperation(cst.Not(), inner)


def _is_none(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Name) and value.value == "None"


def _is_for_types(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.If) and isinstance(node.test, cst.Name) and node.test.value == "TYPE_CHECKING"


def _is_docstring(node: cst.CSTNode) -> bool:
    is_text = isinstance(node, cst.Expr) and isinstance(node.value, cst.SimpleString | cst.ConcatenatedString)
    return is_text or _is_sentence(node)


def _is_sentence(node: cst.CSTNode) -> bool:
    """Return whether a node is a text for people, with blanks between words: no test holds it to the letter."""
    if isinstance(node, cst.SimpleString):
        value = node.evaluated_value
        return isinstance(value, str) and len(value.split()) > 1
    if isinstance(node, cst.FormattedString):
        texts = [part.value for part in node.parts if isinstance(part, cst.FormattedStringText)]
        return len(" ".join(texts).split()) > 1
    return isinstance(node, cst.ConcatenatedString) and (_is_sentence(node.left) or _is_sentence(node.right))


def mutants(source: str) -> Iterator[dict[str, Any]]:
    """Yield each change: its line, the operator, the lines that it changes, and the whole module with it."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    collected = _Mutants()
    wrapper.visit(collected)
    seen, octets = {source}, source.encode()
    for line, name, node, changed in collected.found:
        code = _in_text(octets, collected.spans[node], node, changed)
        if code is None or not _compiles(code):
            code = wrapper.module.visit(_Replacement(node, changed)).code
        if code in seen or not _compiles(code):
            continue
        seen.add(code)
        yield {"line": line, "operator": name, "diff": _diff(source, code), "code": code}


def _in_text(octets: bytes, span: Any, node: cst.CSTNode, changed: cst.CSTNode) -> str | None:
    """Return the text with a node replaced, in a tenth of the time; None if that has to be done in the tree."""
    is_in_parentheses = isinstance(node, cst.BaseExpression) and node.lpar
    if span is None or is_in_parentheses or not isinstance(node, cst.BaseExpression | cst.BaseSmallStatement):
        return None
    new: str = cst.Module([]).code_for_node(changed)
    return octets[: span.start].decode() + new + octets[span.start + span.length :].decode()


class _Replacement(cst.CSTTransformer):  # type: ignore[misc]  # as above
    """Replaces one node, and no other that looks like it."""

    def __init__(self, node: cst.CSTNode, changed: cst.CSTNode) -> None:
        super().__init__()
        self._node = node
        self._changed = changed

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Visit what is in a node, unless it is the one."""
        return node is not self._node

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> Any:
        """Return the changed node in place of the one."""
        return self._changed if original_node is self._node else updated_node


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _diff(source: str, code: str) -> list[str]:
    before, after = source.splitlines(), code.splitlines()
    start = next((at for at, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), 0)
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    gone, come = before[start : len(before) - end], after[start : len(after) - end]
    return [*(f"- {line.strip()}" for line in gone), *(f"+ {line.strip()}" for line in come)]


if __name__ == "__main__":
    for each in mutants(Path(sys.argv[1]).read_text(encoding="utf-8")):
        sys.stdout.write(json.dumps(each) + "\n")
