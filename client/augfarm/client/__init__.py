"""augfarm for trainers: `Client` on any farm, `Pool` in place of imgaug's."""

from augfarm.protocol.errors import (
    AugfarmError,
    AugmentationFailed,
    BatchFailed,
    BatchPoisoned,
    ClosedError,
    FarmError,
    FarmRefused,
    FarmUnavailable,
    InvalidBatch,
    InvalidPipeline,
)
from augfarm.protocol.images import EncodedImage, ImageFile
from augfarm.protocol.seeds import Seed

from .client import Client
from .dropin import use_for_imgaug
from .outcomes import BatchInfo, FailedBatch, PartialBatch
from .pool import Pool
from .replay import replay_dump

__all__ = [
    "AugfarmError",
    "AugmentationFailed",
    "BatchFailed",
    "BatchInfo",
    "BatchPoisoned",
    "Client",
    "ClosedError",
    "EncodedImage",
    "FailedBatch",
    "FarmError",
    "FarmRefused",
    "FarmUnavailable",
    "ImageFile",
    "InvalidBatch",
    "InvalidPipeline",
    "PartialBatch",
    "Pool",
    "Seed",
    "replay_dump",
    "use_for_imgaug",
]
