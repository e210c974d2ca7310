"""How large an expression becomes when it is compiled.

A function that is null where it is not defined names its argument twice, so that calls inside calls double what Polars has to
plan: thirty square roots of each other would take it for ever, and all other filters would wait.
"""

from __future__ import annotations

from sqlglot import exp

from broker.filtering.parse import Parsed, fail

__all__ = ["MAX_GROWN", "check_growth"]

MAX_GROWN = 8_000
"""Most operators, functions and columns an expression may come to."""

_ONCE = frozenset(
    {"coalesce", "least", "greatest", "lower", "upper", "length", "starts_with", "ends_with", "contains", "round"}
)
_VECTORS = frozenset({"sep", "separation"})


def check_growth(parsed: Parsed) -> None:
    """Refuse an expression that becomes too large.

    Raises
    ------
    ExpressionError
        It does.
    """
    for _, tree in parsed.clauses:
        sizes: dict[int, int] = {}
        for node in reversed(list(tree.walk(bfs=False))):  # what is inside comes first
            inside = sum(_times(node, key) * sizes.get(id(child), 0) for key, child in _children(node))
            sizes[id(node)] = inside + (not isinstance(node, exp.Literal | exp.Identifier))
            if sizes[id(node)] > MAX_GROWN:
                fail(
                    f"calls and quotients inside each other come to more than {MAX_GROWN:,} operators, since each names its "
                    "arguments more than once: nest them less deep, or split the filter",
                    node,
                    parsed.text,
                )


def _children(node: exp.Expr) -> list[tuple[str, exp.Expr]]:
    return [
        (key, child)
        for key, value in node.args.items()
        for child in (value if isinstance(value, list) else [value])
        if isinstance(child, exp.Expr)
    ]


def _times(node: exp.Expr, key: str) -> int:
    """How often the part of a node is named."""
    if isinstance(node, exp.Anonymous):
        name = str(node.name).lower()
        return 12 if name in _VECTORS else 1 if name in _ONCE else 2
    if isinstance(node, exp.Div | exp.Mod):
        return 2 if isinstance(node, exp.Div) else 4
    if key != "this":
        return 1
    if isinstance(node, exp.In):
        written = all(isinstance(each, exp.Literal | exp.Neg) for each in node.expressions)
        return 1 if written else max(1, len(node.expressions))
    if isinstance(node, exp.Case):
        return max(1, len(node.args["ifs"]))
    return 2 if isinstance(node, exp.Between) else 1
