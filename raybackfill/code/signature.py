"""What a job's function asks for, read from its signature: frames by type hints, the rest by name."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from raybackfill.errors import SpecError

FRAMES = {
    ("pyarrow", "Table"): "arrow",
    ("polars", "DataFrame"): "polars",
    ("polars", "LazyFrame"): "polars_lazy",
    ("pandas", "DataFrame"): "pandas",
}
HINTS = "pa.Table, pl.DataFrame, pl.LazyFrame or pd.DataFrame"
_ALIASES = {"pa": "pyarrow", "pl": "polars", "pd": "pandas"}


@dataclass(frozen=True)
class Signature:
    """`frame` of the first parameter; `tables` maps a lookup table's parameter to its frame; `context`
    whether the run's context is asked for."""

    frame: str
    tables: dict[str, str]
    context: bool


def read_signature(
    function: Callable[..., Any], ref: str, params: Iterable[str], tables: Iterable[str]
) -> Signature:
    """SpecError where the function cannot be called with what the config gives it."""
    params, tables = set(params), set(tables)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise _wrong(ref, "takes no parameter", "its first parameter is the rows")
    hints = _hints(function)
    frame = _frame(hints.get(parameters[0].name), ref, parameters[0].name)
    rest = {parameter.name: parameter for parameter in parameters[1:]}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in rest.values())
    given = params | tables | {"context"}
    needed = {
        n for n, p in rest.items() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }
    if needed - given:
        missing = ", ".join(sorted(needed - given))
        raise _wrong(ref, f"needs {missing}", f"add transform.params: {{{missing}: ..}} or transform.tables")
    unknown = (params | tables) - set(rest)
    if unknown and not takes_any:
        takes = ", ".join(rest) or "nothing beside its rows"
        raise _wrong(ref, f"does not take {', '.join(sorted(unknown))}", f"it takes {takes}")
    frames = {name: _table_frame(hints.get(name), frame) for name in tables}
    return Signature(frame, frames, "context" in rest)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations, resolved where they can be, else as their text."""
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target)
    except Exception:
        # A hint imported for type checkers only: its text says enough.
        return dict(getattr(target, "__annotations__", {}))


def _frame(hint: Any, ref: str, name: str) -> str:
    found = _known(hint)
    if found is None:
        said = "has no type hint" if hint is None else f"is annotated {hint}"
        raise _wrong(ref, f"the first parameter, {name}, {said}", f"annotate it with {HINTS}")
    return found


def _table_frame(hint: Any, default: str) -> str:
    return _known(hint) or {"polars_lazy": "polars"}.get(default, default)


def _known(hint: Any) -> str | None:
    if isinstance(hint, str):
        package, _, name = hint.strip("'\"").rpartition(".")
        return FRAMES.get((_ALIASES.get(package, package), name))
    module = getattr(hint, "__module__", "").split(".")[0]
    return FRAMES.get((module, getattr(hint, "__name__", "")))


def _wrong(ref: str, message: str, next: str) -> SpecError:
    return SpecError(f"{ref} {message}", where="transform.python", next=next)
