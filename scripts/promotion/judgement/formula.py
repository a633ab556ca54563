"""Arithmetic over sums, written as text in promotion.yaml: `cost / n`, `sqrt(se / n)`; parsed, never evaluated.

Allowed are numbers, the names of sums, + - * / **, parentheses, and sqrt, abs, min, max. Anything else
is refused when the policy is read. A formula works on arrays, so that one call serves all replicates;
what cannot be computed (a division by zero) is NaN and never an exception.
"""

import ast
from collections.abc import Callable, Mapping

import numpy as np

from promotion.errors import PromotionError

MAX_LENGTH = 500
Operation = Callable[..., np.ndarray]
BINARY: dict[type, Operation] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
UNARY: dict[type, Operation] = {ast.USub: np.negative, ast.UAdd: np.positive}
FUNCTIONS: dict[str, tuple[Operation, int]] = {
    "sqrt": (np.sqrt, 1),
    "abs": (np.abs, 1),
    "min": (np.minimum, 2),
    "max": (np.maximum, 2),
}


class Formula:
    """A parsed formula; `names` are the sums that it needs, in order of appearance."""

    def __init__(self, text: str, *, file: str | None = None, line: int | None = None) -> None:
        self.text, self._file, self._line = text, file, line
        if len(text) > MAX_LENGTH:
            raise self._error(f"a formula has at most {MAX_LENGTH} characters")
        try:
            self._tree = ast.parse(text, mode="eval").body
            names: dict[str, None] = {}
            self._check(self._tree, names)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._error("it is not arithmetic") from None
        if not names:
            raise self._error("it names no sum")
        self.names = tuple(names)

    def __call__(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the formula's value; sums: name -> array of any one shape, broadcast elementwise."""
        with np.errstate(all="ignore"):
            return np.asarray(self._value(self._tree, sums), dtype=np.float64)

    def _error(self, why: str) -> PromotionError:
        allowed = "use + - * / **, sqrt, abs, min, max, numbers and the names of sums"
        return PromotionError(f"the formula `{self.text[:80]}`: {why}; {allowed}", file=self._file, line=self._line)

    def _check(self, node: ast.AST, names: dict[str, None]) -> None:
        match node:
            case ast.Name(id=name) if name not in FUNCTIONS:
                names[name] = None
            case ast.Constant(value=value) if isinstance(value, int | float) and not isinstance(value, bool):
                float(value)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
                self._check(left, names)
                self._check(right, names)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
                self._check(operand, names)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
                if len(args) != FUNCTIONS[name][1]:
                    raise self._error(f"`{name}` takes {FUNCTIONS[name][1]} arguments, not {len(args)}")
                for argument in args:
                    self._check(argument, names)
            case _:
                raise self._error(f"`{ast.unparse(node)[:40]}` is not allowed")

    def _value(self, node: ast.AST, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        match node:
            case ast.Name(id=name):
                return np.asarray(sums[name], dtype=np.float64)
            case ast.Constant(value=int() | float() as value):
                return np.asarray(value, dtype=np.float64)
            case ast.BinOp(left=left, op=op, right=right):
                return BINARY[type(op)](self._value(left, sums), self._value(right, sums))
            case ast.UnaryOp(op=op, operand=operand):
                return UNARY[type(op)](self._value(operand, sums))
            case ast.Call(func=ast.Name(id=name), args=args):
                return FUNCTIONS[name][0](*(self._value(a, sums) for a in args))
        raise AssertionError("checked when parsed")
