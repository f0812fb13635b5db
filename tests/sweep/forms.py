"""Every form in which imgaug takes a batch, as the columns of an UnnormalizedBatch."""

from __future__ import annotations

from collections import deque
from typing import Any

import augfarm.compat  # noqa: F401  before imgaug, which needs it under numpy 2

# isort: split
import numpy as np
from imgaug.augmentables import (
    BoundingBox,
    BoundingBoxesOnImage,
    HeatmapsOnImage,
    Keypoint,
    KeypointsOnImage,
    LineString,
    LineStringsOnImage,
    Polygon,
    PolygonsOnImage,
    SegmentationMapsOnImage,
)

SHAPE = (24, 32, 3)
TRIANGLE = [(1.0, 1.0), (20.0, 2.0), (9.0, 18.0)]
SQUARE = [(4, 4), (20, 4), (20, 16), (4, 16)]


def pixels(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


IMAGES = pixels(2, *SHAPE)
ONE = pixels(1, *SHAPE)
HEATMAPS = np.random.default_rng(3).random((2, 12, 16, 1), dtype=np.float32)
SEGMAPS = pixels(2, 24, 32, 1) % 4


def keypoints(*numbers):
    return [Keypoint(x=x, y=y) for x, y in numbers]


def kpsoi(*numbers):
    return KeypointsOnImage(keypoints(*numbers), shape=SHAPE)


BOX = BoundingBox(1, 2.5, np.float32(14), 16, label="cat")
POLYGON = Polygon(TRIANGLE, label=("a", 1))
LINE = LineString(TRIANGLE)
ONE_HEATMAP = HeatmapsOnImage(HEATMAPS[0] * 2 - 1, shape=SHAPE, min_value=-1.0, max_value=1.0)
FLAT_HEATMAP = HeatmapsOnImage(HEATMAPS[0, ..., 0], shape=SHAPE)
ONE_SEGMAP = SegmentationMapsOnImage(SEGMAPS[0].astype(np.int16), shape=SHAPE)
FLAT_SEGMAP = SegmentationMapsOnImage(SEGMAPS[0, ..., 0] > 1, shape=SHAPE)

#: By name; a name begins with the column that it is about.
FORMS: dict[str, dict[str, Any]] = {
    "images NHWC": {"images": IMAGES},
    "images NHW": {"images": IMAGES[..., 0]},
    "images HW": {"images": IMAGES[0, ..., 0]},
    "images float32": {"images": IMAGES.astype(np.float32)},
    "images bool": {"images": IMAGES > 100},
    "images not contiguous": {"images": IMAGES[:, ::-1, ::2]},
    "images Fortran": {"images": np.asfortranarray(IMAGES)},
    "images list": {"images": [IMAGES[0], IMAGES[1, :20, :30]]},
    "images list mixed": {"images": [IMAGES[0], IMAGES[1, ..., 0]]},
    "images tuple": {"images": (IMAGES[0], IMAGES[1])},
    "images deque": {"images": deque(IMAGES)},
    "images no image": {"images": []},
    "images same array twice": {"images": [IMAGES[0], IMAGES[0]]},
    "nothing": {},
    "heatmaps NHWC": {"images": IMAGES, "heatmaps": HEATMAPS},
    "heatmaps list": {"images": IMAGES, "heatmaps": list(HEATMAPS)},
    "heatmaps object": {"images": ONE, "heatmaps": ONE_HEATMAP},
    "heatmaps objects": {"images": IMAGES, "heatmaps": [ONE_HEATMAP, FLAT_HEATMAP]},
    "heatmaps empty": {"images": IMAGES, "heatmaps": []},
    **{
        f"segmaps {dtype}": {"images": IMAGES, "segmentation_maps": SEGMAPS.astype(dtype)}
        for dtype in ("bool", "uint8", "uint16", "int8", "int16", "int32")
    },
    "segmaps list": {"images": IMAGES, "segmentation_maps": list(SEGMAPS)},
    "segmaps object": {"images": ONE, "segmentation_maps": FLAT_SEGMAP},
    "segmaps objects": {"images": IMAGES, "segmentation_maps": [ONE_SEGMAP, FLAT_SEGMAP]},
    "keypoints tuple": {"images": ONE, "keypoints": (3, 4.5)},
    "keypoints tuples": {"images": ONE, "keypoints": [(3, 4.5), (1, 1)]},
    "keypoints lists of tuples": {"images": IMAGES, "keypoints": [[(3, 4.5), (1, 1)], [(0, 2)]]},
    "keypoints tuple of tuples": {"images": ONE, "keypoints": ((3, 4.5), (1, 1))},
    "keypoints Keypoint": {"images": ONE, "keypoints": Keypoint(x=3, y=4.5)},
    "keypoints list of Keypoint": {"images": ONE, "keypoints": keypoints((3, np.float32(4.5)), (1, 1))},
    "keypoints lists of Keypoint": {"images": IMAGES, "keypoints": [keypoints((3, 4)), keypoints((1, 1))]},
    "keypoints list of arrays": {"images": IMAGES, "keypoints": [np.float64([[1, 2]]), np.float64([[4, 5]])]},
    "keypoints array": {"images": ONE, "keypoints": np.int32([[[1, 2], [3, 4]]])},
    "keypoints object": {"images": ONE, "keypoints": kpsoi((1, 2), (3.5, 4))},
    "keypoints objects": {"images": IMAGES, "keypoints": [kpsoi((1, 2), (3.5, 4)), kpsoi()]},
    "keypoints other number": {"images": IMAGES, "keypoints": [kpsoi((1, 2))]},
    "keypoints alone": {"keypoints": [kpsoi((1, 2)), kpsoi((3, 4))]},
    "keypoints empty": {"images": IMAGES, "keypoints": []},
    "keypoints empties": {"images": IMAGES, "keypoints": [[], []]},
    "boxes tuple": {"images": ONE, "bounding_boxes": (1, 2, 10.5, 12)},
    "boxes tuples": {"images": ONE, "bounding_boxes": [(1, 2, 10.5, 12), (1, 1, 5, 5)]},
    "boxes lists of tuples": {"images": IMAGES, "bounding_boxes": [[(1, 2, 10.5, 12)], [(1, 1, 5, 5)]]},
    "boxes BoundingBox": {"images": ONE, "bounding_boxes": BOX},
    "boxes list of BoundingBox": {"images": ONE, "bounding_boxes": [BOX, BOX]},
    "boxes lists of BoundingBox": {"images": IMAGES, "bounding_boxes": [[BOX], [BOX, BOX]]},
    "boxes list of arrays": {"images": IMAGES, "bounding_boxes": [np.float32([[1, 2, 3, 4]])] * 2},
    "boxes array": {"images": ONE, "bounding_boxes": np.float32([[[1, 2, 13, 14]]])},
    "boxes object": {"images": ONE, "bounding_boxes": BoundingBoxesOnImage([BOX], SHAPE)},
    "boxes objects": {"images": IMAGES, "bounding_boxes": [BoundingBoxesOnImage([BOX], SHAPE)] * 2},
    "boxes empties": {"images": IMAGES, "bounding_boxes": [[], []]},
    "keypoints beside tuples": {"images": ONE, "keypoints": [(1, 2)], "bounding_boxes": [(1, 2, 3, 4)]},
}
for column, item, many, extra in (
    ("polygons", POLYGON, PolygonsOnImage, Polygon(SQUARE, label={"kind": np.str_("b"), "id": 7})),
    ("line_strings", LINE, LineStringsOnImage, LineString(SQUARE, label=np.float32(2.5))),
):
    FORMS |= {
        f"{column} item": {"images": ONE, column: item},
        f"{column} items": {"images": ONE, column: [item, extra]},
        f"{column} lists of items": {"images": IMAGES, column: [[item, extra], [item]]},
        f"{column} object": {"images": ONE, column: many([item, extra], SHAPE)},
        f"{column} objects": {"images": IMAGES, column: [many([item], SHAPE), many([], SHAPE)]},
        f"{column} tuples": {"images": ONE, column: TRIANGLE},
        f"{column} lists of tuples": {"images": ONE, column: [TRIANGLE, SQUARE]},
        f"{column} lists of lists of tuples": {"images": IMAGES, column: [[TRIANGLE, SQUARE], [TRIANGLE]]},
        f"{column} array": {"images": IMAGES, column: np.float32([[TRIANGLE], [TRIANGLE]])},
        f"{column} list of arrays": {"images": IMAGES, column: [np.float32([TRIANGLE])] * 2},
        f"{column} lists of arrays": {"images": IMAGES, column: [[np.float32(TRIANGLE)]] * 2},
        f"{column} empty": {"images": IMAGES, column: []},
        f"{column} empties": {"images": IMAGES, column: [[], []]},
        f"{column} deep empties": {"images": IMAGES, column: [[[]], [[]]]},
    }
# imgaug lists the same for line strings, but its LineString takes no Keypoint.
FORMS |= {
    "polygons Keypoints": {"images": ONE, "polygons": keypoints(*TRIANGLE)},
    "polygons lists of Keypoints": {"images": ONE, "polygons": [keypoints(*TRIANGLE)]},
    "polygons lists of lists of Keypoints": {"images": IMAGES, "polygons": [[keypoints(*SQUARE)]] * 2},
}

NORMALIZED = {
    "images": IMAGES,
    "heatmaps": [ONE_HEATMAP, FLAT_HEATMAP],
    "segmentation_maps": [ONE_SEGMAP, FLAT_SEGMAP],
    "keypoints": [kpsoi((1, 2), (3.5, 4)), kpsoi()],
    "bounding_boxes": [BoundingBoxesOnImage([BOX], SHAPE)] * 2,
    "polygons": [PolygonsOnImage([POLYGON], SHAPE)] * 2,
    "line_strings": [LineStringsOnImage([LINE], SHAPE)] * 2,
}

# Sizes: empty batches, images without pixels or channels, one channel and many, sizes that differ.
MIXED = [IMAGES[0], IMAGES[1, :20, :30], pixels(7, 90, 3)]
FORMS |= {
    "images none in the array": {"images": pixels(0, *SHAPE)},
    "images none in the array, empty keypoints": {"images": pixels(0, *SHAPE), "keypoints": []},
    "images none in the list, empty annotations": {"images": [], "polygons": [], "heatmaps": []},
    "images no rows": {"images": pixels(2, 0, 5, 3)},
    "images no columns": {"images": pixels(2, 5, 0, 3)},
    "images no pixels at all": {"images": pixels(2, 0, 0, 3)},
    "images no channels": {"images": pixels(2, 5, 6, 0)},
    "images no pixels in some": {"images": [pixels(0, 5, 3), IMAGES[0], pixels(5, 0, 3), pixels(0, 0)]},
    "images one pixel": {"images": pixels(2, 1, 1, 3)},
    "images one channel": {"images": IMAGES[..., :1]},
    "images one channel list": {"images": [IMAGES[0, ..., :1], IMAGES[1, :9, :, :1], IMAGES[1, ..., 0]]},
    "images seven channels": {"images": pixels(2, 24, 32, 7)},
    "images mixed": {"images": MIXED},
    "images mixed channels": {"images": [IMAGES[0], IMAGES[1, ..., :1], pixels(9, 8, 5)]},
    "images mixed dtypes": {"images": [IMAGES[0], IMAGES[1].astype(np.float32), IMAGES[1] > 9]},
    **{f"images {dtype}": {"images": IMAGES.astype(dtype)} for dtype in ("uint16", "int16", "float64")},
    "images uint16 at its ends": {"images": pixels(1, *SHAPE, dtype=np.uint16) * np.uint16(329)},
    "images float32 not finite": {"images": np.float32([[[[np.nan], [np.inf]], [[-np.inf], [-0.0]]]])},
}

# Annotations without anything in them, and of images of several sizes.
FORMS |= {
    "keypoints empty array": {"images": ONE, "keypoints": np.zeros((1, 0, 2), np.float32)},
    "keypoints empty arrays": {"images": IMAGES, "keypoints": [np.zeros((0, 2)), np.ones((3, 2))]},
    "keypoints empty objects": {"images": IMAGES, "keypoints": [kpsoi(), kpsoi()]},
    "keypoints empty object alone": {"keypoints": kpsoi()},
    "keypoints beside no pixels": {
        "images": pixels(1, 0, 5, 3),
        "keypoints": [KeypointsOnImage(keypoints((1, 2)), (0, 5, 3))],
    },
    "boxes empty array": {"images": ONE, "bounding_boxes": np.zeros((1, 0, 4), np.float32)},
    "boxes empty objects": {"images": IMAGES, "bounding_boxes": [BoundingBoxesOnImage([], SHAPE)] * 2},
    "polygons empty objects": {"images": IMAGES, "polygons": [PolygonsOnImage([], SHAPE)] * 2},
    "line_strings without points": {
        "images": ONE,
        "line_strings": LineStringsOnImage([LineString([])], SHAPE),
    },
    "mixed with everything": {
        "images": MIXED,
        "heatmaps": [HeatmapsOnImage(np.float32(image[..., 0]) / 255, image.shape) for image in MIXED],
        "segmentation_maps": [
            SegmentationMapsOnImage(image[::2, :, 0] // 50, image.shape) for image in MIXED
        ],
        "keypoints": [[(1, 2)], [(3.5, 4), (5, 6), (7, 8)], [(0, 0)]],
        "bounding_boxes": [BoundingBoxesOnImage([BOX] * n, image.shape) for n, image in enumerate(MIXED)],
        "polygons": [[Polygon(SQUARE)], [Polygon(TRIANGLE, label="t")] * 2, [POLYGON]],
        "line_strings": [[TRIANGLE, SQUARE], [TRIANGLE], [SQUARE[:2]]],
    },
    "mixed maps": {
        "images": MIXED,
        "heatmaps": [np.float32(image[:, ::2, :2]) / 255 for image in MIXED],
        "segmentation_maps": [image[..., :1].astype(np.int16) for image in MIXED],
    },
}
