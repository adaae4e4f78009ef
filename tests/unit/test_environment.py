"""What `make` says on a machine where it cannot make its virtual environment."""

import importlib.util
import runpy
import sys
import venv
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "requirements" / "environment.py"


def made(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[Path]:
    """The environments it makes in the folder's place."""
    created: list[Path] = []
    monkeypatch.setattr(venv, "create", lambda target, **_: created.append(target))
    monkeypatch.setattr(sys, "argv", ["environment.py", str(folder)])
    runpy.run_path(str(SCRIPT))
    return created


def test_without_ensurepip_the_debian_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    major, minor = sys.version_info[:2]
    with pytest.raises(SystemExit, match=f"install Debian's python{major}.{minor}-venv, then run make again"):
        made(monkeypatch, tmp_path)


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 14, 0)])
def test_another_python_is_refused_with_the_versions_that_serve(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: tuple[int, ...]
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 to 3\.13"):
        made(monkeypatch, tmp_path)


def test_an_environment_is_made_where_there_is_none_or_one_without_pip(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert made(monkeypatch, tmp_path) == [tmp_path]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    assert made(monkeypatch, tmp_path) == [tmp_path]
    (tmp_path / "bin" / "pip").touch()
    assert made(monkeypatch, tmp_path) == []
