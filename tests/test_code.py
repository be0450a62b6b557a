"""A job's code: what its import reached, hashed, bundled, and loaded again elsewhere."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from raybackfill.code import bundle_job, load_job
from raybackfill.errors import SpecError


def project(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def names(bundle: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(bundle)).namelist()


def test_all_that_the_import_reached_and_nothing_else_is_the_code(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        jobs__a="from lib.rates import RATE\nimport json\ndef f(rows): return RATE\n",
        jobs__b="def g(rows): return 2\n",
        lib__rates="RATE = 1\n",
    )
    code = bundle_job("jobs.a:f", root)
    assert names(code.bundle) == ["jobs/a.py", "lib/rates.py"]
    assert bundle_job("jobs.a:f", root) == code
    assert names(bundle_job("jobs.b:g", root).bundle) == ["jobs/b.py"]
    (root / "lib/rates.py").write_text("RATE = 2\n")
    assert bundle_job("jobs.a:f", root).fingerprint != code.fingerprint


def test_the_bundle_runs_as_it_was_though_the_project_changed(tmp_path: Path) -> None:
    root = project(
        tmp_path, jobs__a="from lib.rates import RATE\ndef f(rows): return RATE\n", lib__rates="RATE = 1\n"
    )
    bundle = bundle_job("jobs.a:f", root).bundle
    (root / "lib/rates.py").write_text("RATE = 2\n")
    assert load_job("jobs.a:f", bundle)(None) == 1
    assert load_job("jobs.a:f", bundle_job("jobs.a:f", root).bundle)(None) == 2
    assert load_job("jobs.a:f", bundle)(None) == 1


def test_two_projects_may_have_modules_of_the_same_name(tmp_path: Path) -> None:
    one = project(tmp_path / "one", jobs__a="def f(rows): return 'one'\n")
    two = project(tmp_path / "two", jobs__a="def f(rows): return 'two'\n")
    codes = [bundle_job("jobs.a:f", root) for root in (one, two, one)]
    assert codes[0] == codes[2] != codes[1]
    assert [load_job("jobs.a:f", code.bundle)(None) for code in codes] == ["one", "two", "one"]


def test_the_fingerprint_is_the_same_in_another_process(tmp_path: Path) -> None:
    root = project(tmp_path, jobs__a="def f(rows): return 1\n")
    program = f"from pathlib import Path; from raybackfill.code import bundle_job; print(bundle_job('jobs.a:f', Path({str(root)!r})).fingerprint)"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/"
    )
    assert said.stdout.strip() == bundle_job("jobs.a:f", root).fingerprint


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("jobs.missing:f", "there is no module jobs.missing"),
        ("jobs.a:missing", r"jobs.a has no function 'missing'.*it has f"),
        ("jobs.broken:f", r"importing jobs.broken raised SyntaxError.*broken.py"),
        ("jobs.raises:f", r"importing jobs.raises raised ZeroDivisionError.*raises.py:1"),
        ("jobs.needs:f", r"importing jobs.needs raised ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_what_cannot_be_imported_is_said(tmp_path: Path, ref: str, said: str) -> None:
    root = project(
        tmp_path,
        jobs__a="def f(rows): return 1\n",
        jobs__broken="def f(rows:\n",
        jobs__raises="1 / 0\n",
        jobs__needs="import nowhere\n",
    )
    with pytest.raises(SpecError, match=f"transform.python: {said}"):
        bundle_job(ref, root)
