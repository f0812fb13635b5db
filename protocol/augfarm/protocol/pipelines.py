"""Pipelines as data: an imgaug augmenter as canonical JSON, and back, without calling what a peer chose.

A *spec* is UTF-8 JSON with sorted keys and without spaces, so that equal pipelines have equal bytes and one
SHA-256::

    spec     = {"augfarm": 1, "imgaug": {"distribution": text, "version": text}, "pipeline": node}
             | {"augfarm": 2, "imgaug": {"distribution", "version", "kernels": "fast"}, "pipeline": node}
    node     = null | true | false | number | text
             | {"object": path, "attributes": {name: node}, "items": [node]}   ; items: of lists of augmenters
             | {"function": path}                                               ; path = "module:Name"
             | {"rng": node} | {"generator": "global" | {"name", "words", "has_uint32", "uinteger"}}
             | {"list": [node]} | {"tuple": [node]} | {"set": [node]} | {"frozenset": [node]}
             | {"dict": [[node, node]]} | {"float": "nan" | "inf" | "-inf"} | {"complex": [node, node]}
             | {"bytes": base64} | {"array": base64, "dtype", "shape", "order"} | {"scalar": base64, "dtype"}
             | {"numpy_dtype": dtype} | {"numpy_type": name}
             | {"ref": id}                                                      ; the same object again

The second form asks for augfarm's own kernels instead of imgaug's code. It has another number so that a
worker that does not know of kernels refuses it, and never does the exact thing silently.

A node that others refer to has an "id". It is complete before any reference to it: attributes are read in
the order of their names, then items, so cycles cannot be expressed. imgaug's global generator is a marker,
and so are augmenters that use it: on the worker they use the worker's. What a spec may name is in
:mod:`.allowlist`.

Source: imgaug-style augmenters keep all they are in ``__dict__`` (imgaug/augmenters/meta.py, Augmenter), and
``Sequential`` and ``SomeOf`` are lists besides.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any, Literal, get_args

from . import limits
from .allowlist import short
from .errors import InvalidPipeline
from .pipeline_decoder import Decoder
from .pipeline_encoder import Encoder, canonical

__all__ = [
    "KERNELS",
    "SPEC_VERSION",
    "SPEC_VERSION_OF_KERNELS",
    "Kernels",
    "check_kernels",
    "decode",
    "digest",
    "encode",
    "imports",
    "kernels_of",
    "load",
]

#: The forms above: exact, and with kernels. Specs of another form are refused by name.
SPEC_VERSION = 1
SPEC_VERSION_OF_KERNELS = 2

#: What augments: imgaug's own code, bit for bit, or augfarm's kernels where there are some.
Kernels = Literal["exact", "fast"]
KERNELS: tuple[Kernels, ...] = get_args(Kernels)


def encode(augmenter: object) -> bytes:
    """The augmenter as a spec. It is read, not changed; later changes to it are not in the spec.

    Args:
        augmenter: an instance of ``imgaug.augmenters.meta.Augmenter``.

    Raises:
        InvalidPipeline: where it holds what cannot travel, for example a function made in place; the error
            says where it sits and what to do.
    """
    if not _is_augmenter(augmenter):
        raise InvalidPipeline(_not_a_pipeline(augmenter))
    from ..compat import imgaug_distribution  # only here: importing it changes numpy for imgaug's sake

    node = Encoder().node(augmenter, "")
    distribution, version = imgaug_distribution()
    spec = canonical(
        {
            "augfarm": SPEC_VERSION,
            "imgaug": {"distribution": distribution, "version": version},
            "pipeline": node,
        }
    )
    _check_size(spec)
    return spec


def decode(spec: bytes | bytearray | memoryview, *, allow_imports: tuple[str, ...] = ()) -> Any:
    """The augmenter that a spec describes. Imports imgaug.

    Args:
        spec: from :func:`encode`, or from a peer.
        allow_imports: modules whose augmenters, parameters and functions the spec may name besides imgaug's;
            they are imported when it does. The choice of whoever runs this process, never of a peer.

    Raises:
        InvalidPipeline: for whatever else the bytes are, and where the spec was made with another imgaug.
        ImportError: where there is no imgaug here.
    """
    from ..compat import imgaug_distribution, import_imgaug

    envelope = _parse(spec)
    import_imgaug()
    theirs = (envelope["imgaug"]["distribution"], envelope["imgaug"]["version"])
    ours = imgaug_distribution()
    if theirs != ours:
        raise InvalidPipeline(
            f"made with {short(' '.join(theirs))}, but here is {' '.join(ours)!r}: the random streams of"
            " the two may differ, so both sides need the same"
        )
    _fill_class_caches()
    augmenter = Decoder(allow_imports).node(envelope["pipeline"], "")
    if not _is_augmenter(augmenter):
        raise InvalidPipeline("expected an augmenter at the root of the pipeline")
    return augmenter


def digest(spec: bytes) -> bytes:
    """The SHA-256 that names this spec on the wire, 32 bytes."""
    return hashlib.sha256(spec).digest()


def imports(spec: bytes) -> tuple[str, ...]:
    """The modules besides imgaug's that this spec names, sorted.

    Allow them (``allow_imports``) only where the spec was just made from an augmenter of this very process:
    to allow what a spec from elsewhere names would be to trust whoever wrote it.
    """
    found: set[str] = set()
    waiting: list[Any] = [json.loads(spec)["pipeline"]]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            paths = (node[kind] for kind in ("object", "function") if isinstance(node.get(kind), str))
            found |= {path.partition(":")[0] for path in paths}
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return tuple(sorted(name for name in found if name.partition(".")[0] != "imgaug"))


def kernels_of(spec: bytes | bytearray | memoryview) -> Kernels:
    """What this spec asks to be augmented by.

    Raises:
        InvalidPipeline: where it is no spec.
    """
    return "fast" if "kernels" in _parse(spec)["imgaug"] else "exact"


def check_kernels(kernels: object) -> None:
    """Raise ValueError for what is neither None nor one of KERNELS."""
    if kernels is not None and kernels not in KERNELS:
        raise ValueError(f"expected kernels to be one of {', '.join(KERNELS)}, got {kernels!r}")


def load(pipeline: object, kernels: Kernels | None = None) -> bytes:
    """The spec of what a user calls a pipeline. Does not import imgaug, so a trainer needs none.

    Args:
        pipeline: an imgaug augmenter; the path of a spec file (text or ``os.PathLike``); a spec as a dict or
            as bytes. Of files, dicts and bytes only the outermost level is checked here, the rest by the
            worker that decodes it.
        kernels: what it is to be augmented by; None: what a spec says, and ``"exact"`` for an augmenter.

    Raises:
        InvalidPipeline: for any other pipeline.
        ValueError: for other kernels.
    """
    check_kernels(kernels)
    spec = _load(pipeline)
    return spec if kernels is None else _with_kernels(spec, kernels)


def _load(pipeline: object) -> bytes:
    if isinstance(pipeline, (str, os.PathLike)):
        return _load_file(os.fspath(pipeline))
    if isinstance(pipeline, dict):
        return _canonical_spec(pipeline, "")
    if isinstance(pipeline, (bytes, bytearray, memoryview)):
        return _canonical_spec(_parse(pipeline), "")
    return encode(pipeline)


def _with_kernels(spec: bytes, kernels: Kernels) -> bytes:
    envelope = json.loads(spec)
    envelope["imgaug"].pop("kernels", None)
    envelope["augfarm"] = SPEC_VERSION
    if kernels != "exact":
        envelope["imgaug"]["kernels"] = kernels
        envelope["augfarm"] = SPEC_VERSION_OF_KERNELS
    return canonical(envelope)


def _fill_class_caches() -> None:
    """Do what imgaug does for a whole class when its first object is made, since decoding makes none.

    Source: imgaug/augmenters/color.py, AddToHueAndSaturation.__init__ and its _LUT_CACHE.
    """
    from imgaug.augmenters.color import AddToHueAndSaturation

    if AddToHueAndSaturation._LUT_CACHE is None:
        AddToHueAndSaturation()


def _load_file(path: str | bytes) -> bytes:
    name = os.fsdecode(path)
    try:
        with open(path, "rb") as file:
            content = file.read(limits.MAX_SPEC_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InvalidPipeline(
            f"expected the path of a spec file (`augfarm spec PIPELINE > spec.json` makes one): {error}",
            where=name,
        ) from None
    return _canonical_spec(_parse(content, name), name)


def _canonical_spec(envelope: Any, where: str) -> bytes:
    _check_envelope(envelope, where)
    try:
        spec = canonical(envelope)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidPipeline(f"not JSON: {error}", where=where) from None
    _check_size(spec, where)
    return spec


def _parse(spec: bytes | bytearray | memoryview, where: str = "") -> dict[str, Any]:
    """The envelope in these bytes, checked."""
    _check_size(spec, where)
    try:
        envelope = json.loads(bytes(spec).decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidPipeline(f"not JSON in UTF-8: {error}", where=where) from None
    _check_envelope(envelope, where)
    result: dict[str, Any] = envelope
    return result


def _check_envelope(envelope: object, where: str) -> None:
    if not isinstance(envelope, dict) or envelope.keys() != {"augfarm", "imgaug", "pipeline"}:
        raise InvalidPipeline(
            "expected a map of augfarm, imgaug and pipeline, as `augfarm spec` writes it", where=where
        )
    version = envelope["augfarm"]
    if type(version) is not int or version not in (SPEC_VERSION, SPEC_VERSION_OF_KERNELS):
        raise InvalidPipeline(
            f"a spec of form {short(version)}, expected {SPEC_VERSION} or {SPEC_VERSION_OF_KERNELS}",
            where=where,
        )
    imgaug = envelope["imgaug"]
    kernels = {"kernels"} if version == SPEC_VERSION_OF_KERNELS else set()
    if (
        not isinstance(imgaug, dict)
        or imgaug.keys() != {"distribution", "version"} | kernels
        or not all(isinstance(text, str) for text in imgaug.values())
    ):
        wanted = "distribution, version and kernels" if kernels else "distribution and version"
        raise InvalidPipeline(f"expected under 'imgaug' its {wanted} as text", where=where)
    if kernels and imgaug["kernels"] != "fast":
        raise InvalidPipeline(f"asks for kernels {short(imgaug['kernels'])}, expected 'fast'", where=where)
    if not isinstance(envelope["pipeline"], dict) or not isinstance(envelope["pipeline"].get("object"), str):
        raise InvalidPipeline("expected under 'pipeline' the node of an augmenter", where=where)


def _check_size(spec: bytes | bytearray | memoryview, where: str = "") -> None:
    if len(spec) > limits.MAX_SPEC_BYTES:
        raise InvalidPipeline(f"a spec of more than {limits.MAX_SPEC_BYTES} bytes", where=where)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _is_augmenter(value: object) -> bool:
    # Who holds an augmenter has imported imgaug; nobody else has to.
    meta = sys.modules.get("imgaug.augmenters.meta")
    return meta is not None and isinstance(value, meta.Augmenter)


def _not_a_pipeline(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "a list is not a pipeline; wrap it: imgaug.augmenters.Sequential([...])"
    if isinstance(value, type):
        return f"{value.__qualname__} is a class; make an augmenter of it: {value.__name__}(...)"
    return (
        "expected an imgaug augmenter, the path of a spec file, or a spec as a dict or bytes,"
        f" got {type(value).__qualname__}"
    )
