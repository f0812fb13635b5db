"""Fast kernels for imgaug's slow augmenters: the same random parameters, results within a few grey levels.

``install(augmenter)`` is what the worker calls for a pipeline with ``kernels="fast"``. Each other file holds
the kernel of one augmenter, or of a family that shares its work. How far each is from imgaug:
docs/kernels.md.
"""

from .registry import install, installed, known, replaced

__all__ = ["install", "installed", "known", "replaced"]
