"""Imports modules from a bundle in memory: nothing is unpacked, so nothing is left on a worker's disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import CodeType, ModuleType

# Zip archives carry times: a constant one, so that the same code gives the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(files: Mapping[str, bytes]) -> bytes:
    """Files (path below the project's root -> content) as a zip; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return buffer.getvalue()


def unpack(bundle: bytes) -> dict[str, bytes]:
    """The files of a bundle."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class BundleImporter(MetaPathFinder, InspectLoader):
    """Finds and loads the modules of one bundle. `names` are those that it was asked for and has."""

    def __init__(self, bundle: bytes) -> None:
        self._files = unpack(bundle)
        self.names: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = fullname.replace(".", "/") + "/"
        found = self._file_of(fullname)
        if found is None and not any(name.startswith(folder) for name in self._files):
            return None
        self.names.add(fullname)
        if found is not None:
            return spec_from_loader(fullname, self, origin=found, is_package=found.startswith(folder))
        # A folder without __init__.py: a namespace package, as Python makes one on disk.
        namespace = ModuleSpec(fullname, None, is_package=True)
        namespace.submodule_search_locations = [folder]
        return namespace

    def get_source(self, fullname: str) -> str:
        found = self._file_of(fullname)
        if found is None:
            raise ImportError(f"the bundle has no module {fullname}", name=fullname)
        return self._files[found].decode()

    def get_code(self, fullname: str) -> CodeType:
        # Tracebacks then name the file as it is seen from the project's root.
        return compile(
            self.get_source(fullname), self._file_of(fullname) or fullname, "exec", dont_inherit=True
        )

    def is_package(self, fullname: str) -> bool:
        return (self._file_of(fullname) or "").endswith("/__init__.py")

    def _file_of(self, fullname: str) -> str | None:
        path = fullname.replace(".", "/")
        return next((name for name in (f"{path}/__init__.py", f"{path}.py") if name in self._files), None)
