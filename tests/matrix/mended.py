r"""What the parts of imgaug 0.4.0 that augfarm.compat mends gave where nothing had to be mended.

Run by hand in such an environment, this file prints REFERENCE anew (it imports nothing of ours):

    python3.10 -m venv old
    old/bin/pip install numpy==1.23.5 scikit-image==0.19.3 'scipy<1.10' 'Pillow<9.5' 'matplotlib<3.8' \
        opencv-python-headless==4.11.0.86 imageio six 'setuptools<70'
    old/bin/pip install --no-deps imgaug==0.4.0 imagecorruptions==1.1.2
    old/bin/python tests/matrix/mended.py

Each case is a function without arguments that returns a small array. Boxes are compared exactly, the rest to
one step of 255: OpenCV and scipy round floats by the processor they run on.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import numpy as np

Case = Callable[[], np.ndarray]

#: Cut out of 32x40 pixels, as far from the border as from each other.
CROP = (slice(14, 18), slice(10, 30, 5))


def pattern(height: int = 32, width: int = 40) -> np.ndarray:
    """An image that no filter leaves as it is: neighbours and channels differ."""
    rows, columns, channels = np.ogrid[:height, :width, :3]
    return ((rows * 37 + columns * 11 + channels * 80) % 251).astype(np.uint8)


# --- imgaug alone ------------------------------------------------------------------------------------------


def elastic_transformation() -> np.ndarray:
    from imgaug import augmenters as iaa

    fixed = iaa.ElasticTransformation(alpha=20, sigma=5, seed=1)(image=pattern())
    drawn = iaa.ElasticTransformation(alpha=(10.0, 40.0), sigma=(4.0, 6.0), seed=2)(image=pattern())
    return np.stack([fixed[CROP], drawn[CROP]])


def change_color_temperature(together: bool = True) -> np.ndarray:
    """Five images at once; the old versions can only do one at a time."""
    from imgaug.augmenters import color

    kelvins = np.float32([1500, 2345, 4321, 8000, 15050])
    images = np.stack([np.roll(pattern(), n, axis=1) for n in range(len(kelvins))])
    if together:
        return np.asarray(color.change_color_temperatures_(images, kelvins))[:, 15, 20]
    alone = [
        color.change_color_temperatures_(images[n : n + 1], kelvins[n : n + 1])[0, 15, 20]
        for n in range(len(kelvins))
    ]
    return np.stack(alone)


def autocontrast() -> np.ndarray:
    from imgaug import augmenters as iaa

    image = pattern() // 2 + 50
    fixed = iaa.pillike.Autocontrast(5, seed=1)(image=image)
    drawn = iaa.pillike.Autocontrast((10, 20), per_channel=True, seed=2)(image=image)
    return np.stack([fixed[CROP], drawn[CROP]])


def glass_blur_function() -> np.ndarray:
    from imgaug.augmenters import imgcorruptlike

    np.random.seed(1)
    blurred = [imgcorruptlike._apply_glass_blur_imgaug(pattern(), severity)[CROP] for severity in (1, 5)]
    return np.uint8(np.stack(blurred))


def boxes() -> np.ndarray:
    """The outlines of boxes inside, partly outside, and without an area, as a mask."""
    from imgaug.augmentables.bbs import BoundingBox

    image = np.zeros((20, 32, 3), np.uint8)
    for x1, y1, x2, y2, size in [
        *((4, 3, 9, 8, 1), (12, 2, 22, 9, 2), (26, -5, 40, 6, 1), (-3, 12, 6, 30, 1)),
        *((12, 15, 12, 15, 1), (15, 13, 15, 18, 1), (18, 15, 25, 15, 1), (28.4, 12.6, 30.5, 17.5, 1)),
    ]:
        image = BoundingBox(x1, y1, x2, y2).draw_on_image(image, size=size, color=(255, 255, 255))
    half = BoundingBox(9, 5, 14, 7).draw_on_image(image, alpha=0.5, color=(200, 0, 0))
    return np.stack([np.packbits(image[..., 0] > 0), np.packbits(half[..., 0] == 100)])


# --- with the package imagecorruptions ---------------------------------------------------------------------


def corruption(name: str) -> Case:
    def run() -> np.ndarray:
        from imgaug import augmenters as iaa

        augment = [getattr(iaa.imgcorruptlike, name)(severity=severity, seed=3) for severity in (2, 5)]
        return np.stack([augmenter(image=pattern())[CROP] for augmenter in augment])

    return run


CASES: dict[str, Case] = {
    "ElasticTransformation": elastic_transformation,
    "ChangeColorTemperature": change_color_temperature,
    "Autocontrast": autocontrast,
    "GlassBlur's function": glass_blur_function,
    "boxes": boxes,
}

CORRUPTIONS: dict[str, Case] = {
    f"imgcorruptlike.{name}": corruption(name) for name in ("GaussianBlur", "GlassBlur", "Fog")
}


def difference(name: str, value: np.ndarray) -> int:
    """How far this value is from the reference, in steps of 255; that many for another shape."""
    shape, text = REFERENCE[name]
    wanted = np.frombuffer(base64.b85decode(text), np.uint8).reshape(shape)
    if value.shape != wanted.shape:
        return 255
    return int(np.abs(value.astype(int) - wanted.astype(int)).max())


#: name: (shape, uint8 values in base 85), printed by this file under numpy 1.23.5, scikit-image 0.19.3,
#: scipy 1.9.3, Pillow 9.4.0, OpenCV 4.11.0.86, matplotlib 3.7.5, Python 3.10.13.
REFERENCE: dict[str, tuple[tuple[int, ...], str]] = {
    "ElasticTransformation": (
        (2, 4, 4, 3),
        "YPel(ya1KuIxBn3oBu$W`airEVN06-%L;DCS!v5cl6uP-&P0^GMVAM1&Y1r?>>_&YD1N9wk5{K{0AjHtcE&7mz;MI>"
        "0BgB5i0&td^oQ*xK#%`qvZq?AeVcSc",
    ),
    "ChangeColorTemperature": ((5, 3), "7Ayb@Hzxo@aMnMSpe~9"),
    "Autocontrast": (
        (2, 4, 4, 3),
        "fZ7<n09gDwlplH2ssBUhCV&fNzeu9|)Dmm}QL8hK=yS~r{5+Q*dDLFH0GstTg5?0l089TeoD_NRum3Rj8-V~~)k3EK"
        ";00y?OS&tM|8mv<|23Z!dGK4m0HFUK",
    ),
    "GlassBlur's function": (
        (2, 4, 4, 3),
        "Wsro8o>Hl3V~cQvh@MxbXlJBSdtiB^l%PwkN_S>zpjM5Th=pO3QHMu{sCc1ee|&g-fp>X*etUg;e1Ca;fp~d)e|&v="
        "dx3d;fO&j)e|~&<dx3a<eR+U(et>&;",
    ),
    "boxes": (
        (2, 80),
        "0000W03ZJ#03ZJ#57+}B2v`Fk2v`Fk2v`F@2v`FE57+|$03ZJV03ZJV00000{r~^~0s#OH0s#OD0tr9L0s#OD0s#OD"
        "0s#OH0ssI20000000000000000000000000044wc00IC2044wc0000000000000000000000000000000000000000"
        "00000000000000000000",
    ),
    "imgcorruptlike.GaussianBlur": (
        (2, 4, 4, 3),
        "eTQ|2esh3tf^mC^hkkN{b$)erh;fC1iF9~*bck<)gn5W|fpCLxe2R06dV_&*e0_a<eSLg=e0+U;e0_a<eSLg=e0+U;"
        "e0_a<eSLg=e0+U;e0+U;eSLg=eSCd<",
    ),
    "imgcorruptlike.GlassBlur": (
        (2, 4, 4, 3),
        "Z=7&<dVrH=d0ldziH~1}Xn%ZeiBN!@mUm-&WsF~am{^RAl4x>lZI@Jtnr(}DbbN$=eR+L(eS3R;cYK0-fqH#>dwY6*"
        "dwYL&g?xN`dwY6+e|da#hJAW`eS3O-",
    ),
    "imgcorruptlike.Fog": (
        (2, 4, 4, 3),
        "dX!v&NMnaiX**SLhoNbWRc}CBbw^=*lv{R3VSG(zfm3cZp=pCuZirfRJYjo7Y=2d7MOkn~SuH?RbckMjQf4wnS}#LZ"
        "dQfCWT5UW}V>e47iC=R{U2#TQFh^T4",
    ),
}


def main() -> None:
    cases = {**CASES, **CORRUPTIONS}
    cases["ChangeColorTemperature"] = lambda: change_color_temperature(together=False)
    for name, case in cases.items():
        value = case()
        assert value.dtype == np.uint8
        print(f'    "{name}": (\n        {value.shape},')
        text = base64.b85encode(value.tobytes()).decode()
        for start in range(0, len(text), 90):
            print(f'        "{text[start : start + 90]}"')
        print("    ),")


if __name__ == "__main__":
    main()
