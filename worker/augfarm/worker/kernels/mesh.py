"""Piecewise affine maps over a regular grid, without a matrix for each triangle. Pure NumPy and SciPy.

Source: imgaug/augmenters/geometric.py, PiecewiseAffine._get_transformer, and scikit-image's
PiecewiseAffineTransform, which triangulates the grid by Delaunay and fits an affine map to each triangle. A
grid's cells are rectangles of two triangles each. With (u, v) a position in a cell and P its corners' images,
such a map is

    bilinear(P)(u, v) + (k(u, v) - u v) * (P11 - P10 - P01 + P00)

where k = min(u, v) if the diagonal joins the corners 00 and 11, and max(0, u + v - 1) if it joins 10 and 01.
The first term is a product of three matrices, and k is the same for all images of a size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import Delaunay

from .buffers import Cache, scratch

__all__ = ["Mesh", "mesh_of"]

Array = Any


class Mesh:
    """The grid of `rows` times `columns` points over an image of `height` times `width` pixels.

    Attributes:
        points: the grid's points, (rows * columns, 2), each (y, x).
        triangles: the three points of each triangle, (n, 3).
        whole: whether the triangles are two for each cell; nothing else can be used here.
    """

    def __init__(self, height: int, width: int, rows: int, columns: int) -> None:
        self.shape = (height, width)
        self.grid = (rows, columns)
        ys, xs = np.linspace(0, height, rows), np.linspace(0, width, columns)
        xx, yy = np.meshgrid(xs, ys)
        self.points = np.dstack([yy.flat, xx.flat])[0]
        self.triangles = Delaunay(self.points[:, ::-1]).simplices
        self._weights: dict[str, tuple[Array, ...]] = {}
        self._axes = (_axis(height, ys), _axis(width, xs))
        diagonals = self._diagonals()
        self.whole = diagonals is not None
        self._rising: Array = diagonals

    @property
    def nbytes(self) -> int:
        held = sum(each.nbytes for held in self._weights.values() for each in held)
        return int(self.points.nbytes + held)

    def _diagonals(self) -> Array | None:
        """For each cell, whether its diagonal joins 00 and 11; None where a cell is not two triangles."""
        rows, columns = self.grid
        joins = np.zeros((2, rows - 1, columns - 1), int)
        y, x = self.triangles // columns, self.triangles % columns
        top, left = y.min(axis=1), x.min(axis=1)
        if np.any(y.max(axis=1) - top != 1) or np.any(x.max(axis=1) - left != 1):
            return None
        # One that lacks the corner 00 or 11 has as many corners below as to the right, and the diagonal 10 to
        # 01.
        rising = (y - top[:, None]).sum(axis=1) != (x - left[:, None]).sum(axis=1)
        np.add.at(joins, (rising.astype(int), top, left), 1)
        if np.any((joins != 0) & (joins != 2)) or np.any(joins.sum(axis=0) != 2):
            return None
        return joins[1] == 2

    def weights(self, dtype: Any) -> tuple[Array, ...]:
        """What :meth:`render` multiplies by, in this dtype."""
        key = np.dtype(dtype).str
        if key not in self._weights:
            (at_y, cell_y, v), (at_x, cell_x, u) = self._axes
            v, u = v[:, None], u[None, :]
            rising = self._rising[cell_y[:, None], cell_x[None, :]]
            bend = np.where(rising, np.minimum(u, v), np.maximum(0.0, u + v - 1)) - u * v
            rows, columns = self.grid
            made = (at_y, at_x.T, np.eye(rows - 1)[cell_y], np.eye(columns - 1)[cell_x].T, bend)
            self._weights[key] = tuple(np.ascontiguousarray(each, dtype) for each in made)
        return self._weights[key]

    def render(self, targets: Array, dtype: Any) -> Array:
        """Where each pixel's value comes from: (2, H, W), x before y, in an array that is used again.

        Args:
            targets: where the points' values come from, (rows * columns, 2), each (y, x).
        """
        at_y, at_x, cell_y, cell_x, bend = self.weights(dtype)
        planes = np.ascontiguousarray(targets[:, ::-1].T.reshape(2, *self.grid), dtype)
        twist = planes[:, 1:, 1:] - planes[:, 1:, :-1] - planes[:, :-1, 1:] + planes[:, :-1, :-1]
        out = scratch("mesh", (2, *self.shape), dtype)
        more = scratch("bend", (2, *self.shape), dtype)
        np.matmul(at_y, planes @ at_x, out=out)
        np.matmul(cell_y, twist @ cell_x, out=more)
        more *= bend
        out += more
        return out

    def at(self, targets: Array, y: Array, x: Array) -> tuple[Array, Array]:
        """Where the values of these pixels come from, x and y, in float64; `y` and `x` are whole numbers."""
        (_, cell_y, v_of), (_, cell_x, u_of) = self._axes
        columns = self.grid[1]
        row, column = cell_y[y], cell_x[x]
        v, u = v_of[y], u_of[x]
        k = np.where(self._rising[row, column], np.minimum(u, v), np.maximum(0.0, u + v - 1))
        corner = row * columns + column
        right = np.roll(targets, -1, axis=0) - targets
        down = np.roll(targets, -columns, axis=0) - targets
        twist = np.roll(right, -columns, axis=0) - right
        table = np.concatenate([targets, right, down, twist], axis=1)[corner]
        return (
            table[:, 1] + u * table[:, 3] + v * table[:, 5] + k * table[:, 7],
            table[:, 0] + u * table[:, 2] + v * table[:, 4] + k * table[:, 6],
        )

    def steepness(self, targets: Array) -> float:
        """At most so far are the sources of two pixels apart, for each pixel between them."""
        height, width = self.shape
        rows, columns = self.grid
        corners = targets.reshape(rows, columns, 2)
        down = np.linalg.norm(np.diff(corners, axis=0), axis=2).max() * (rows - 1) / height
        right = np.linalg.norm(np.diff(corners, axis=1), axis=2).max() * (columns - 1) / width
        return float(np.hypot(down, right))


def _axis(size: int, knots: Array) -> tuple[Array, Array, Array]:
    """Of the pixels 0 to size - 1: their weights of the knots, their cells, and where in these they are."""
    pixels = np.arange(size, dtype=np.float64)
    cell = np.clip(np.searchsorted(knots, pixels, side="right") - 1, 0, len(knots) - 2)
    place = (pixels - knots[cell]) / (knots[cell + 1] - knots[cell])
    weights = np.zeros((size, len(knots)))
    weights[np.arange(size), cell] = 1 - place
    weights[np.arange(size), cell + 1] = place
    return weights, cell, place


mesh_of = Cache(Mesh, lambda mesh: mesh.nbytes)
