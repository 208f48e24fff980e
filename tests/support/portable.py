"""Run tests as another machine would: `python -m tests.support.portable [pytest's arguments]`.

The checkout is copied to a folder with spaces and letters beyond ASCII, read-only where that can
be, and its tests run there with an older instruction set for XLA and for NumPy's BLAS, one thread,
other hashes, another locale where one is installed, and another time zone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCALES = ("tr_TR.utf8", "de_DE.utf8", "fr_FR.utf8")  # an I without a dot; decimal commas


def main(arguments: list[str]) -> int:
    """Run pytest with these arguments in a copy of the checkout; its exit status."""
    with tempfile.TemporaryDirectory(prefix="größere Prüfung, 試験 ") as folder:
        home = Path(folder)
        copy = home / "a clone's name"
        for name in _tracked():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
        environment = os.environ | _environment() | {
            "PYTHONPATH": str(copy),
            "PYTHONDONTWRITEBYTECODE": "1",
            "JLSTM_PORTABLE": "read-only",  # of tests/test_portable.py
            "JLSTM_TEST_CACHE": str(home / "cache"),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(home / "hypothesis"),
        }  # fmt: skip
        environment.pop("XLA_FLAGS", None)  # tests/conftest.py sets them
        command = [sys.executable, "-m", "pytest", *arguments]
        with _read_only(copy) as prefix:
            if prefix is None:
                print("The copy stays writable: root writes anywhere, and cannot mount it here.")
                environment["JLSTM_PORTABLE"] = "writable"
            command = [*(prefix or []), *command]
            return subprocess.run(command, cwd=copy, env=environment).returncode


def _tracked() -> list[str]:
    """Files of the checkout that are tracked, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [name for name in os.fsdecode(listed).split("\0") if (ROOT / name).is_file()]


def _environment() -> dict[str, str]:
    """Variables that name another machine."""
    found = {
        "NPROC": "1",  # threads of XLA
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "4321",
        "TZ": "<+1245>-12:45",
        "TERM": "dumb",
        **_locale(),
    }
    processor = Path("/proc/cpuinfo")
    if processor.exists() and " avx2 " in processor.read_text(encoding="utf-8"):
        found["JLSTM_TEST_XLA_FLAGS"] = "--xla_cpu_max_isa=AVX"
        found["OPENBLAS_CORETYPE"] = "Haswell"
    return found


def _locale() -> dict[str, str]:
    """A locale that is not English, where there is one."""
    with contextlib.suppress(OSError):
        there = subprocess.run(["locale", "-a"], capture_output=True, text=True).stdout.split()
        for name in LOCALES:
            if name in there:
                return {"LC_ALL": name}
    print("There is no other locale: on Debian, `apt-get install locales-all` brings all.")
    return {}


@contextlib.contextmanager
def _read_only(folder: Path):
    """Make a folder read-only for commands that start with what is yielded; None: it cannot be."""
    if os.geteuid() == 0:
        mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && exec "$@"'
        prefix = ["unshare", "--mount", "sh", "-c", mount, str(folder)]
        with contextlib.suppress(OSError):
            if subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
                yield prefix
                return
        yield None
        return
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        yield []
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
