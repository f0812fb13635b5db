from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import types

import numpy as np
import pytest

from augfarm import compat

ELASTIC = (
    "import imgaug.augmenters as iaa; import numpy as np;"
    "image = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3);"
    "out = iaa.ElasticTransformation(alpha=20, sigma=5, seed=1)(image=image);"
    "assert out.shape == image.shape and not np.array_equal(out, image);"
    "import inspect; assert 'class Affine' in inspect.getsource(iaa.geometric)"
)


def run(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_import_before_imgaug() -> None:
    run(f"import sys, augfarm.compat; assert 'imgaug' not in sys.modules; {ELASTIC}")


def test_import_after_imgaug() -> None:
    # Whoever imported imgaug without us has put numpy's names back in some way of their own.
    names = "import numpy as np; np.sctypes = dict(int=[], uint=[], float=[])"
    run(f"{names}; import imgaug, augfarm.compat; {ELASTIC}")


def test_install_twice_adds_one_finder() -> None:
    compat.install()
    compat.install()
    assert [type(finder) for finder in sys.meta_path].count(compat._Finder) == 1


def test_names_that_numpy_has_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = object()
    monkeypatch.setattr(np, "bool", theirs, raising=False)
    # vars, not delattr: numpy 1.23 makes the name whenever it is asked for.
    monkeypatch.delitem(vars(np), "complex", raising=False)
    compat.install()
    assert np.bool is theirs
    assert np.complex is complex  # type: ignore[attr-defined]


def test_sctypes_are_numpys_own() -> None:
    assert np.sctypes["int"] == [np.int8, np.int16, np.int32, np.int64]  # type: ignore[attr-defined]
    assert np.float64 in np.sctypes["float"]  # type: ignore[attr-defined]


def test_distribution_is_the_one_installed() -> None:
    name, version = compat.imgaug_distribution()
    assert importlib.metadata.version(name) == version


def test_a_module_s_distribution_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, {"imaug": "0.4.3", "imagecorruptions": "1.1.2"})
    assert compat._distribution_of("imgaug.augmenters.color") == ("imaug", "0.4.3")
    assert compat._distribution_of("imagecorruptions.corruptions") == ("imagecorruptions", "1.1.2")
    _installed(monkeypatch, {})
    assert compat._distribution_of("imgaug.augmenters.color") is None
    assert compat._distribution_of("imagecorruptions.corruptions") is None


def _installed(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]) -> None:
    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_of_two_distributions_the_one_on_top_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, {"imgaug": "0.4.0", "imaug": "0.4.3"})
    monkeypatch.setitem(sys.modules, "imgaug", types.SimpleNamespace(__version__="0.4.3"))
    assert compat.imgaug_distribution() == ("imaug", "0.4.3")


def test_no_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, {})
    with pytest.raises(ImportError):
        compat.imgaug_distribution()


def test_missing_imgaug_names_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imgaug", None)
    with pytest.raises(ImportError) as caught:
        compat.import_imgaug()
    assert "pip install 'augfarm[worker]' && pip install --no-deps imgaug==0.4.0" in str(caught.value)
