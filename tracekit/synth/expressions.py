"""Values of a recipe that are worked out of its parameters: ``"=common - zero - 2 * twins"``, ``"=max(sizes) + 16MiB"``.

Only +, −, ×, ÷, comparisons, not/and/or and a few functions, so that every machine works out the same double.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from tracekit.units import parse_duration, parse_size

_QUANTITY = re.compile(r"(?<![\w.])[0-9]+(?:\.[0-9]+)?[A-Za-z]+")
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_UNARY: dict[type, Callable[[Any], Any]] = {ast.USub: operator.neg, ast.Not: operator.not_}
FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "sum": sum, "len": len, "round": round}


def work_out(value: Any, names: Mapping[str, Any]) -> Any:
    """``value``, worked out if it is a text that begins with ``=``; lists item by item. Raises ValueError."""
    if isinstance(value, list):
        return [work_out(item, names) for item in value]
    if not isinstance(value, str) or not value.startswith("="):
        return value
    try:
        tree = ast.parse(_QUANTITY.sub(_plain, value[1:].strip()), mode="eval").body
        found = _value(tree, names)
    except (SyntaxError, TypeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"it cannot be worked out: {error}") from None
    return int(found) if isinstance(found, float) and found.is_integer() else found


def _plain(match: re.Match[str]) -> str:
    try:
        return str(parse_duration(match[0]))
    except ValueError:
        return str(parse_size(match[0]))


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=int() | float() | bool()):
            return node.value
        case ast.Name(id=name):
            if name not in names:
                raise ValueError(f"it names {name!r}, and there are only {', '.join(names) or 'no parameters'}")
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, names), _value(right, names))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, names), _value(right, names))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand, names))
        case ast.BoolOp(op=op, values=values):
            found = [bool(_value(value, names)) for value in values]
            return all(found) if isinstance(op, ast.And) else any(found)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name](*(_value(arg, names) for arg in args))
    raise ValueError(f"it may hold parameters, numbers, sizes, durations, + - * / // % and {', '.join(FUNCTIONS)}")
