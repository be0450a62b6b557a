"""A job's code: found, imported, hashed, bundled, and loaded again from the bundle.

Every module below the project's root that the job's import reached is the job's code. The bundle
is stored with the plan; workers and resumes load that, never what lies on somebody's disk by now.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from raybackfill.code.bundle import BundleImporter, pack, unpack
from raybackfill.errors import SpecError

_IMPORTING = threading.Lock()
# The folders that jobs were imported from.
_roots: set[Path] = set()


@dataclass(frozen=True)
class Code:
    """The bundle (a zip of the modules, paths below the project's root) and its fingerprint."""

    ref: str
    fingerprint: str
    bundle: bytes


def bundle_job(ref: str, root: Path) -> Code:
    """Import "module:function" from the project at `root` and collect what the import reached.

    SpecError where the module or the function is not there, or its import raises.
    """
    root = root.resolve()
    package = ref.partition(":")[0].partition(".")[0]
    with _IMPORTING:
        _forget_bundles()
        # What an earlier import left would not be imported again: neither counted as reached, nor, where
        # it came from another root or from a bundle, even the code that is meant.
        aside = _take_out(
            lambda module: _is_below(module, {root, *_roots}) or _is_foreign(module, {package}, root)
        )
        _roots.add(root)
        try:
            _find(ref, root)
            # The script that runs is not the job's code, though it may lie beside it.
            reached = {_origin(module) for name, module in list(sys.modules.items()) if name != "__main__"}
        finally:
            sys.modules.update({name: module for name, module in aside.items() if name not in sys.modules})
    modules = sorted(path for path in reached if path is not None and _is_project_code(path, root))
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in modules}
    return Code(ref, fingerprint(files), pack(files))


def no_code(text: str) -> Code:
    """The code of a backfill without Python: its SQL, or nothing."""
    return Code("sql" if text else "identity", fingerprint({"transform.sql": text.encode()}), pack({}))


def fingerprint(files: dict[str, bytes]) -> str:
    """SHA-256 (hex) over the names and contents of the modules."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def modules_of(bundle: bytes) -> dict[str, str]:
    """The modules of a bundle: path below the project's root -> SHA-256 (hex) of the content."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in unpack(bundle).items()}


def load_job(ref: str, bundle: bytes) -> Callable[..., Any]:
    """The job's function, from its bundle: imported once a process and content."""
    key = (ref, hashlib.sha256(bundle).hexdigest())
    with _IMPORTING:
        if key not in _loaded:
            _forget_bundles()
            importer = BundleImporter(bundle)
            _take_out(lambda module: importer.find_spec(module.__name__, None) is not None)
            _importers.append(importer)
            sys.meta_path.insert(0, importer)
            _loaded[key] = _find(ref, None)
        return _loaded[key]


_loaded: dict[tuple[str, str], Callable[..., Any]] = {}
_importers: list[BundleImporter] = []


def _forget_bundles() -> None:
    """Modules of an earlier bundle would be taken for those of the next one, or of a project."""
    while _importers:
        importer = _importers.pop()
        sys.meta_path.remove(importer)
        for name in importer.names:
            sys.modules.pop(name, None)


def _find(ref: str, root: Path | None) -> Callable[..., Any]:
    """The function, imported with the root first on the path, or from the bundle's importer."""
    module_name, _, attribute = ref.partition(":")
    path = [] if root is None else [str(root)]
    sys.path[:0] = path
    try:
        importlib.invalidate_caches()
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise _import_failed(ref, root, error) from error
    finally:
        for folder in path:
            sys.path.remove(folder)
    found = getattr(module, attribute, None)
    if not callable(found):
        names = sorted(n for n, v in vars(module).items() if callable(v) and v.__module__ == module_name)
        raise SpecError(
            f"{module_name} has no function {attribute!r}",
            where="transform.python",
            next=f"it has {', '.join(names) or 'none'}",
        )
    return found  # type: ignore[no-any-return]


def _take_out(wanted: Callable[[ModuleType], bool]) -> dict[str, ModuleType]:
    """Remove modules from those that Python holds as imported."""
    names = [name for name, module in list(sys.modules.items()) if name != "__main__" and wanted(module)]
    return {name: sys.modules.pop(name) for name in names}


def _is_foreign(module: ModuleType, packages: set[str], root: Path) -> bool:
    if getattr(module, "__name__", "").split(".")[0] not in packages:
        return False
    origin = _origin(module)
    return origin is None or not origin.is_relative_to(root)


def _import_failed(ref: str, root: Path | None, error: BaseException) -> SpecError:
    module_name = ref.partition(":")[0]
    if isinstance(error, ModuleNotFoundError) and error.name and module_name.startswith(error.name):
        return SpecError(
            f"there is no module {error.name} below {root or 'the root of the stored code'}",
            where="transform.python",
            next="write it as folder.module:function, seen from the project's root (--project DIR)",
        )
    said = error.msg if isinstance(error, SyntaxError) else str(error) or "no message"
    return SpecError(
        f"importing {module_name} raised {type(error).__name__}: {said}",
        where="transform.python",
        next=f"see {_place(error)}",
    )


def _place(error: BaseException) -> str:
    """File and line where an import failed: the line that cannot be parsed, or the last one that ran."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"


def _is_below(module: ModuleType, roots: set[Path]) -> bool:
    """Whether a module, or a folder of modules, is the code of one of these roots."""
    origin = _origin(module)
    if origin is None:
        return False
    file = origin if origin.suffix == ".py" else origin / "__init__.py"
    return any(_is_project_code(file, root) for root in roots)


def _origin(module: ModuleType) -> Path | None:
    """Where a module lies: its file, or a namespace package's folder; None for built-in ones."""
    file = getattr(module, "__file__", None)
    folders = [file] if file else list(getattr(module, "__path__", []))
    return Path(folders[0]) if folders and isinstance(folders[0], str) else None


def _is_project_code(path: Path | None, root: Path) -> bool:
    """Whether a file is a module below the root, and not of an environment or raybackfill itself."""
    if path is None or path.suffix != ".py" or not path.is_relative_to(root):
        return False
    parts = path.relative_to(root).parts
    return "site-packages" not in parts and parts[0] != "raybackfill" and not parts[0].startswith(".")
