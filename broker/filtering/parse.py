"""Text of a filter expression to a syntax tree: grammar, size limits and the places of words.

`sqlglot` does the grammar. Every call is left as a plain name with arguments, so that the functions there are are those
of `broker.filtering.functions` and no other.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar, NoReturn

from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.parser import Parser
from sqlglot.tokens import Token, Tokenizer, TokenType  # type: ignore[attr-defined]

from broker.errors import ExpressionError

__all__ = ["MAX_CHARACTERS", "MAX_DEPTH", "Parsed", "chain", "fail", "meant", "near", "nearest", "parse", "shortened"]

MAX_CHARACTERS = 100_000
"""Longest expression; room for some thousand names in an ``IN``."""
MAX_DEPTH = 32
"""Deepest nesting of brackets and CASE."""
MAX_TREE_DEPTH = 120
MAX_NODES = 4_000
"""Most operators, calls and columns; values listed in an ``IN`` do not count."""

LONGEST_NAME = 200
"""Characters of a name that errors quote."""

_WORD = re.compile(r"""'[^'\n]*'|[^\W\d][\w.]*(?:\['[^'\n]*'\])?|[\d.]+\w*|"[^"\n]*"(?:\.[\w"]+)*|\S""")
_OPEN = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSE = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}


class _Parser(Parser):
    """SQL conditions with no function known by name."""

    FUNCTIONS: ClassVar = {}
    FUNCTION_PARSERS: ClassVar = {}
    NO_PAREN_FUNCTIONS: ClassVar = {}
    NO_PAREN_FUNCTION_PARSERS: ClassVar = {"CASE": Parser.NO_PAREN_FUNCTION_PARSERS["CASE"]}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A syntax tree with its top-level AND-clauses.

    Parameters
    ----------
    text
        As written.
    clauses
        Source text and tree of each clause, in order; their conjunction is the expression.
    """

    text: str
    clauses: tuple[tuple[str, exp.Expr], ...]


def parse(text: str) -> Parsed:
    """Parse a boolean SQL expression.

    Raises
    ------
    ExpressionError
        It is not one expression, too long or too deep.
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"the expression is {len(text)} characters long; at most {MAX_CHARACTERS} are taken")
    try:
        tokens = Tokenizer().tokenize(text)
    except TokenError as error:
        raise ExpressionError("cannot be read as SQL: a quote or a comment is not closed") from error
    if not tokens:
        raise ExpressionError("the expression is empty: write TRUE to match everything")
    _check_tokens(tokens, text)
    try:
        trees = _Parser().parse_into(exp.Condition, tokens, text)
        tree = trees[0]
        if tree is None or len(trees) != 1:
            raise ExpressionError("the expression must be one condition")
        _check_size(tree, text)
    except ParseError as error:
        _syntax(error, tokens, text)
    except RecursionError as error:
        raise ExpressionError(f"the expression is nested too deep; at most {MAX_DEPTH} levels are taken") from error
    trees_of_clauses = chain(tree, exp.And)
    texts = _split(tokens, text)
    if len(texts) != len(trees_of_clauses):
        texts = [clause.sql() for clause in trees_of_clauses]
    return Parsed(text, tuple(zip(texts, trees_of_clauses, strict=True)))


def chain(node: exp.Expr, kind: type[exp.Binary | exp.Connector]) -> list[exp.Expr]:
    """Operands of a chain ``a AND b AND c`` of one operator, in order."""
    operands: list[exp.Expr] = []
    while isinstance(node, kind):
        operands.append(node.expression)
        node = node.this
    operands.append(node)
    return operands[::-1]


def fail(message: str, node: exp.Expr | None, text: str, *, near: str = "") -> NoReturn:
    """Raise an `ExpressionError` at the first word of `node`, or of what it is part of where it has none of its own.

    Parameters
    ----------
    near
        The known name that is nearest to the word.
    """
    while node is not None:
        starts = [int(part.meta["start"]) for part in node.walk() if "start" in part.meta]
        if starts:
            _fail_at(message, min(starts), text, near=near)
        node = node.parent
    raise ExpressionError(message, nearest=near)


def near(name: str, known: Collection[str]) -> str:
    """The known name that is nearest, empty where none is: the same but for case, alike, or with the same last part."""
    if len(name) > LONGEST_NAME:
        return ""
    words = sorted(known)
    exact = [word for word in words if word.lower() == name.lower()]
    tail = [word for word in words if word.rsplit(".", 1)[-1].lower() == name.rsplit(".", 1)[-1].lower()]
    found = (
        exact
        or get_close_matches(name, words, n=1, cutoff=0.75)
        or tail[:1]
        or get_close_matches(name, words, n=1, cutoff=0.55)
    )
    return found[0] if found else ""


def meant(name: str) -> str:
    """`` (did you mean ...?)`` of a name, nothing of none."""
    return f" (did you mean {name}?)" if name else ""


def nearest(name: str, known: Collection[str]) -> str:
    """`` (did you mean ...?)`` where a known name is near, else nothing."""
    return meant(near(name, known))


def shortened(name: str) -> str:
    """A name as errors quote it."""
    return repr(name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "...")


def _fail_at(message: str, start: int, text: str, *, near: str = "") -> NoReturn:
    before = text[:start]
    line = before.count("\n") + 1
    word = _WORD.match(text, start)
    raise ExpressionError(
        message,
        line=line,
        column=start - (before.rfind("\n") + 1) + 1,
        word=word[0][:LONGEST_NAME] if word else "",
        nearest=near,
    )


def _syntax(error: ParseError, tokens: list[Token], text: str) -> NoReturn:
    # A parse into a type says only that it failed; what failed is in the error it was raised from.
    known = [entry for entry in (*error.errors, *getattr(error.__cause__, "errors", ())) if entry.get("line")]
    if not known:
        raise ExpressionError(
            "cannot be read as one SQL condition; write for instance mag < 19 AND reliability > 0.7"
        ) from error
    line, column = int(known[0]["line"] or 1), int(known[0]["col"] or 1)
    at = next((token for token in tokens if (token.line, token.col) == (line, column)), tokens[-1])
    told = str(known[0].get("description"))
    what = "something is missing after it" if "missing for" in told else "this does not belong here"
    _fail_at(f"near {at.text[:40]!r}: {what}; a filter is one SQL condition", at.start, text)


def _check_tokens(tokens: list[Token], text: str) -> None:
    depth = 0
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            _fail_at("one condition only, without ';'", token.start, text)
        depth += (token.token_type in _OPEN) - (token.token_type in _CLOSE)
        if depth > MAX_DEPTH:
            _fail_at(f"nested deeper than {MAX_DEPTH} levels: take brackets away", token.start, text)


def _check_size(tree: exp.Expr, text: str) -> None:
    nodes, stack = 0, [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        nodes += not isinstance(node, exp.Literal | exp.Identifier)
        if nodes > MAX_NODES:
            raise ExpressionError(f"more than {MAX_NODES} operators, functions and columns: split the filter, or use IN (...)")
        if depth > MAX_TREE_DEPTH:
            fail(f"nested deeper than {MAX_TREE_DEPTH} operators: split the filter", node, text)
        for kind in (exp.And, exp.Or):
            if isinstance(node, kind):
                stack.extend((child, depth + 1) for child in chain(node, kind))
                break
        else:
            stack.extend((child, depth + 1) for child in node.iter_expressions())


def _split(tokens: list[Token], text: str) -> list[str]:
    """Source text between the ANDs that join whole clauses: not those in brackets, CASE or BETWEEN."""
    pieces, depth, between, first = [], 0, False, tokens[0].start
    for token in tokens:
        depth += (token.token_type in _OPEN) - (token.token_type in _CLOSE)
        if depth:
            continue
        if token.token_type == TokenType.BETWEEN:
            between = True
        elif token.token_type == TokenType.AND and between:
            between = False
        elif token.token_type == TokenType.AND:
            pieces.append(text[first : token.start].strip())
            first = token.end + 1
    return [*pieces, text[first:].strip()]
