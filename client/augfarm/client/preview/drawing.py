"""Pictures with annotations drawn on them, at any size. Needs Pillow (extra `preview`)."""

from __future__ import annotations

import colorsys
import contextlib
import functools
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .levels import Levels, shown
from .marks import Box, Curve, Marks

__all__ = ["Picture", "fitting", "font", "labels_of", "picture_of", "pillow", "printable", "render"]

Array = np.ndarray[Any, Any]
Image = np.ndarray[Any, np.dtype[np.uint8]]
Colour = tuple[int, int, int]

POINT_COLOUR = (255, 220, 0)
LINE_COLOUR = (0, 190, 255)
DARK = (20, 20, 20)
#: Boxes and polygons by their labels, classes by their numbers; the first is for what has no label.
PALETTE: tuple[Colour, ...] = (
    (0, 200, 80),
    (255, 70, 70),
    (70, 140, 255),
    (255, 150, 0),
    (190, 90, 255),
    (0, 205, 205),
    (255, 90, 190),
    (170, 200, 0),
)
#: The channels of heatmaps.
HEAT_COLOURS: tuple[Colour, ...] = ((255, 120, 0), (0, 120, 255), (0, 220, 60), (255, 0, 200))
#: How much of a map or a polygon's inside covers the image.
SEGMENT_OPACITY, HEAT_OPACITY, INSIDE_OPACITY = 0.4, 0.6, 0.12
#: What is shown of an image without pixels.
EMPTY_GREY = 204
LABEL_SIZE = 11
#: Labels are cut where they are longer than this, in pixels, and than half of the picture.
LEAST_LABEL = 60


def pillow() -> Any:
    """Pillow's Image module.

    Raises:
        ImportError: where there is no Pillow; the text says how to install it.
    """
    try:
        from PIL import Image as module
    except ImportError:
        raise ImportError("to draw needs Pillow here: pip install 'augfarm[preview]'") from None
    return module


@functools.cache
def font(size: int) -> Any:
    """The font that imgaug ships, so that pictures look the same everywhere; without imgaug Pillow's own."""
    pillow()
    from PIL import ImageFont

    found = None
    with contextlib.suppress(ImportError):
        found = importlib.util.find_spec("imgaug")  # looks for it without importing it
    if found is not None and found.origin is not None:
        path = Path(found.origin).with_name("DejaVuSans.ttf")
        if path.is_file():
            # Pillow's own layout of letters: another one, where it is there, refuses some texts.
            return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
    return ImageFont.load_default(size)


@dataclass(frozen=True)
class Picture:
    """An image made ready to be shown: small enough to be kept, whatever it was.

    Attributes:
        image: (h,w,3) uint8.
        size: width and height of the image that it was, in whose pixels the marks are.
    """

    image: Image = field(repr=False)
    size: tuple[int, int]
    marks: Marks = field(repr=False, default_factory=Marks)


def picture_of(image: Array, marks: Marks, levels: Levels, most: int) -> Picture:
    """The image as a picture of at most `most` pixels a side.

    Args:
        image: as :func:`shown` takes it.
    """
    size = (image.shape[1], image.shape[0])
    # Of a huge image not all pixels are needed, nor is the memory for them.
    step = max(1, max(size) // (4 * most))
    colours = shown(image[::step, ::step], levels)
    scale = most / max(*size, 1)
    maps = (marks.segments, marks.heatmaps)
    segments, heatmaps = ([_sparse(each, most) for each in kind] for kind in maps)
    marks = replace(marks, segments=segments, heatmaps=heatmaps)
    return Picture(_resized(colours, size, scale) if scale < 1 else colours.copy(), size, marks)


def _sparse(values: Array, most: int) -> Array:
    """A map's values at not many more than `most` places a side."""
    step = max(1, max(values.shape[:2]) // most)
    return values[::step, ::step].copy()


def render(
    picture: Picture, scale: float, *, labels: Iterable[str] | None = None, numbers: bool = False
) -> Image:
    """The picture with its annotations, (H,W,3) uint8, at `scale` times the size of the image that it was.

    Images are enlarged without smoothing, so that pixels stay pixels. Annotations are drawn after that: lines
    are as thick on a small image as on a large one.

    Args:
        labels: all that pictures beside this one have, so that each has one colour on all of them; None: this
            one's own.
        numbers: write beside each keypoint which one it is, from 0.
    """
    if min(picture.size) < 1:
        return np.full((1, 1, 3), EMPTY_GREY, np.uint8)
    drawn = _resized(picture.image, picture.size, scale)
    marks = picture.marks
    for number, heatmap in enumerate(marks.heatmaps):
        drawn = _with_heat(drawn, heatmap, number)
    for segments in marks.segments:
        drawn = _with_segments(drawn, segments)
    colours = _colours(labels_of(marks) if labels is None else labels)
    return _with_shapes(drawn, marks, scale, colours, numbers)


def labels_of(marks: Marks) -> set[str]:
    """The labels of all boxes, polygons and line strings."""
    labelled: list[Box | Curve] = [*marks.boxes, *marks.polygons, *marks.lines]
    return {_key(each.label) for each in labelled}


def _resized(image: Image, size: tuple[int, int], scale: float) -> Image:
    module = pillow()
    target = tuple(max(1, round(side * scale)) for side in size)
    if target == (image.shape[1], image.shape[0]):
        return image
    enlarges = target[0] > image.shape[1] or target[1] > image.shape[0]
    how = module.Resampling.NEAREST if enlarges else module.Resampling.LANCZOS
    return np.asarray(module.fromarray(image).resize(target, how, reducing_gap=None if enlarges else 3.0))


def _with_heat(image: Image, heatmap: Array, number: int) -> Image:
    """Each channel in a colour of its own, the stronger the higher."""
    module = pillow()
    blended = image.astype(np.float32)
    for channel in range(heatmap.shape[2]):
        values = np.nan_to_num(np.clip(heatmap[..., channel], 0, 1)).astype(np.float32)
        if values.size == 0:
            continue
        fitted = module.fromarray(values).resize((image.shape[1], image.shape[0]), module.Resampling.BILINEAR)
        weight = np.asarray(fitted)[..., np.newaxis] * HEAT_OPACITY
        colour = np.array(HEAT_COLOURS[(number + channel) % len(HEAT_COLOURS)], np.float32)
        blended += (colour - blended) * weight
    return _rounded(blended)


def _with_segments(image: Image, segments: Array) -> Image:
    """Each class in a colour of its own; 0, the background, in none."""
    height, width = image.shape[:2]
    if segments.size == 0:
        return image
    rows = np.arange(height) * segments.shape[0] // height
    columns = np.arange(width) * segments.shape[1] // width
    blended = image.astype(np.float32)
    for channel in range(segments.shape[2]):
        classes = segments[..., channel][rows[:, None], columns[None, :]]
        for number in np.unique(classes[classes != 0]):
            inside = classes == number
            blended[inside] *= 1 - SEGMENT_OPACITY
            blended[inside] += np.array(class_colour(int(number)), np.float32) * SEGMENT_OPACITY
    return _rounded(blended)


def _rounded(colours: Array) -> Image:
    octets: Image = np.clip(colours + 0.5, 0, 255).astype(np.uint8)
    return octets


def class_colour(number: int) -> Colour:
    """A colour for a class; the first ones from the palette, then others round the circle of hues."""
    if 0 < number < len(PALETTE):
        return PALETTE[number]
    red, green, blue = colorsys.hsv_to_rgb(number * 0.381966 % 1, 0.75, 0.95)  # steps of the golden angle
    return round(red * 255), round(green * 255), round(blue * 255)


def _with_shapes(
    image: Image, marks: Marks, scale: float, colours: dict[str, Colour], numbers: bool
) -> Image:
    if not (marks.points or marks.boxes or marks.polygons or marks.lines):
        return image
    from PIL import ImageDraw

    module = pillow()
    drawn = module.fromarray(image)
    for polygon in marks.polygons:
        drawn = _filled(drawn, _at(polygon, scale), colours[_key(polygon.label)])
    pen = ImageDraw.Draw(drawn)
    for polygon in marks.polygons:
        points = _at(polygon, scale)
        _line(pen, [*points, *points[:1]], colours[_key(polygon.label)])
    for line in marks.lines:
        _line(pen, _at(line, scale), LINE_COLOUR if line.label is None else colours[_key(line.label)])
    for box in marks.boxes:
        _box(pen, box, scale, colours[_key(box.label)])
    for x, y in marks.points:
        _point(pen, x * scale, y * scale)
    tags = _Tags(pen, drawn.size)
    for number, (x, y) in enumerate(marks.points if numbers else ()):
        tags.beside(str(number), x * scale, y * scale)
    for box in marks.boxes:
        if box.label is not None:
            tags.at_box(str(box.label), _corners(box, scale), colours[_key(box.label)])
    for curve in [*marks.polygons, *marks.lines]:
        if curve.label is not None:
            tags.at_curve(str(curve.label), _at(curve, scale), colours[_key(curve.label)])
    return np.asarray(drawn)


def _key(label: Any) -> str:
    return "" if label is None else str(label)


def _colours(labels: Iterable[str]) -> dict[str, Colour]:
    """A colour for each label, in the labels' alphabetical order."""
    named = sorted(set(labels) - {""})
    return {"": PALETTE[0]} | {label: class_colour(1 + place) for place, label in enumerate(named)}


def _at(curve: Curve, scale: float) -> list[tuple[float, float]]:
    """The curve's points on the picture, far ones brought near: Pillow draws all of a line, seen or not."""
    points = np.nan_to_num(curve.points * scale)
    return [(float(x), float(y)) for x, y in np.clip(points, -1e5, 1e5)]


def _filled(drawn: Any, points: list[tuple[float, float]], colour: Colour) -> Any:
    from PIL import ImageDraw

    module = pillow()
    if len(points) < 3:
        return drawn
    mask = module.new("L", drawn.size, 0)
    ImageDraw.Draw(mask).polygon(points, fill=round(255 * INSIDE_OPACITY))
    return module.composite(module.new("RGB", drawn.size, colour), drawn, mask)


def _line(pen: Any, points: list[tuple[float, float]], colour: Colour) -> None:
    if len(points) == 1:
        points = points * 2
    pen.line(points, fill=DARK, width=4, joint="curve")
    pen.line(points, fill=colour, width=2, joint="curve")


def _corners(box: Box, scale: float) -> tuple[float, float, float, float]:
    sides = np.clip(np.nan_to_num(np.array([box.x1, box.y1, box.x2, box.y2]) * scale), -1e5, 1e5)
    left, right = sorted((float(sides[0]), float(sides[2])))
    top, bottom = sorted((float(sides[1]), float(sides[3])))
    return left, top, right, bottom


def _box(pen: Any, box: Box, scale: float, colour: Colour) -> None:
    left, top, right, bottom = _corners(box, scale)
    pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=DARK, width=1)
    pen.rectangle((left, top, right, bottom), outline=colour, width=2)


def _point(pen: Any, x: float, y: float) -> None:
    if abs(x) < 1e5 and abs(y) < 1e5:
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=DARK)
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=POINT_COLOUR)


class _Tags:
    """Text on coloured grounds: whole, and none on another. What finds no place is left out."""

    def __init__(self, pen: Any, size: tuple[int, int]) -> None:
        self._pen = pen
        self._width, self._height = size
        self._taken: list[tuple[float, float, float, float]] = []

    def beside(self, text: str, x: float, y: float) -> None:
        """At a point on the picture: to its right or left, above or below."""
        if 0 <= x <= self._width and 0 <= y <= self._height:
            width, height = self._size(text)
            places = [(x + 5, y - height), (x + 5, y), (x - 5 - width, y - height), (x - 5 - width, y)]
            self._put(text, places, POINT_COLOUR)

    def at_box(self, text: str, corners: tuple[float, float, float, float], colour: Colour) -> None:
        """On a box's upper edge, or inside of it, or below."""
        left, top, right, bottom = corners
        if right > 0 and bottom > 0 and left < self._width and top < self._height:
            text = self._short(text)
            _, height = self._size(text)
            self._put(
                text, [(left, top - height), (left, top), (left, bottom - height), (left, bottom)], colour
            )

    def at_curve(self, text: str, points: list[tuple[float, float]], colour: Colour) -> None:
        """At its highest point on the picture, or its lowest."""
        inside = [(x, y) for x, y in points if 0 <= x <= self._width and 0 <= y <= self._height]
        if inside:
            text = self._short(text)
            _, height = self._size(text)
            x, y = min(inside, key=lambda point: point[1])
            below = max(inside, key=lambda point: point[1])
            self._put(text, [(x, y - height), (x, y), below], colour)

    def _short(self, text: str) -> str:
        return fitting(text, max(LEAST_LABEL, self._width / 2), LABEL_SIZE)

    def _size(self, text: str) -> tuple[float, float]:
        return font(LABEL_SIZE).getlength(text) + 4, LABEL_SIZE + 4

    def _put(self, text: str, places: list[tuple[float, float]], colour: Colour) -> None:
        width, height = self._size(text)
        if not text or width > self._width or height > self._height:
            return
        for x, y in places:
            left = min(max(x, 0), self._width - width)
            top = min(max(y, 0), self._height - height)
            right, bottom = left + width, top + height
            if all(right <= r[0] or left >= r[2] or bottom <= r[1] or top >= r[3] for r in self._taken):
                self._taken.append((left, top, right, bottom))
                self._pen.rectangle((left, top, right - 1, bottom - 1), fill=colour)
                at = (left + 2, top + height / 2)
                self._pen.text(at, text, fill=DARK, font=font(LABEL_SIZE), anchor="lm")
                return


def printable(text: str) -> str:
    """The text in one line, without what has no shape."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def fitting(text: str, width: float, size: int) -> str:
    """The text in letters of this size, shortened with an ellipsis where it is wider; "" if nothing fits."""
    letters = font(size)
    text = printable(text)
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""
