"""Every limit of the protocol and every time it counts in, with its unit and its reason.

What a peer sends is checked against these before it is used or stored.
"""

from __future__ import annotations

__all__ = [
    "ADVICE_MAX_BATCHES",
    "DEFAULT_MAX_ATTEMPTS",
    "DEFAULT_MEMORY_BYTES",
    "HEARTBEAT_INTERVAL_MS",
    "HEARTBEAT_TIMEOUT_MS",
    "INLINE_BYTES",
    "MAX_ARRAY_DIMENSIONS",
    "MAX_BATCH_BYTES",
    "MAX_BUFFERS",
    "MAX_CALLS",
    "MAX_CLIENTS",
    "MAX_COMMAND_BYTES",
    "MAX_DECODED_IMAGE_BYTES",
    "MAX_ENVIRONMENT_ITEMS",
    "MAX_FRAMES",
    "MAX_HEADER_BYTES",
    "MAX_IPC_FRAME_BYTES",
    "MAX_LIST_ITEMS",
    "MAX_NESTING",
    "MAX_OPEN_BATCHES",
    "MAX_PIPELINES",
    "MAX_PIPELINE_DEPTH",
    "MAX_PIPELINE_KEYS",
    "MAX_PIPELINE_NODES",
    "MAX_RECEIPTS_PER_MESSAGE",
    "MAX_SPEC_BYTES",
    "MAX_TCP_FRAME_BYTES",
    "MAX_TEXT_LENGTH",
    "MAX_TRACEBACK_LENGTH",
    "MAX_WORKERS",
    "MAX_WORKER_CREDIT",
    "MAX_WORKER_PIPELINES",
    "MEMORY_NUMBER_BYTES",
    "PROTOCOL_VERSION",
    "RECONNECT_MAX_S",
    "RECONNECT_MIN_S",
    "TOKEN_BYTES",
    "WELCOME_TIMEOUT_S",
    "WORKER_CREDIT",
]

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

#: Peers of another version are refused by name, never guessed around.
PROTOCOL_VERSION = 1

# --- frames ----------------------------------------------------------------------------------------------

#: libzmq does not count a half-received frame as life: a 40 MB frame on a 5 MB/s link is cut after
#: 4 s. 256 KiB cross such a link in 0.05 s, so heartbeats pass in between.
MAX_TCP_FRAME_BYTES = 256 * KIB
#: Over ipc a frame may be as long as a batch: the kernel moves it at once.
MAX_IPC_FRAME_BYTES = 1 * GIB
#: The first frame of a message is its command: a few numbers, a digest, a traceback.
MAX_COMMAND_BYTES = 256 * KIB
#: Frames of one message: 1 GiB in frames of 256 KiB, and as many small arrays again.
MAX_FRAMES = 32 * KIB
#: Arrays up to this size travel inside the header: below it a frame of its own costs more than a copy.
INLINE_BYTES = 4 * KIB

# --- batches ---------------------------------------------------------------------------------------------

#: One batch with all its arrays, in or out.
MAX_BATCH_BYTES = 1 * GIB
#: The header of a batch: its structure, its annotations and its small arrays.
MAX_HEADER_BYTES = 256 * MIB
#: Arrays of one batch that travel as buffers of their own (those above INLINE_BYTES).
MAX_BUFFERS = 16 * KIB
#: numpy itself allows 32 (64 since 2.0); images have four.
MAX_ARRAY_DIMENSIONS = 32
#: Depth of lists in lists. imgaug's deepest input form, nested polygons, has seven.
MAX_NESTING = 32
#: Items of one list. A decoder reserves a list's memory when it reads the list's length, before its items.
MAX_LIST_ITEMS = 1024 * KIB
#: One image after decoding a file, before its pixels are allocated: 100 megapixels of RGB in 8 bits.
MAX_DECODED_IMAGE_BYTES = 300 * MIB
#: What names a memory that is shared between processes of one host: random, so that no two are alike.
MEMORY_NUMBER_BYTES = 16
#: Any text field: names, labels, messages. In characters.
MAX_TEXT_LENGTH = 64 * KIB
#: A traceback is cut in its middle beyond this, in characters, so that it fits one command frame.
MAX_TRACEBACK_LENGTH = 32 * KIB

# --- pipelines -------------------------------------------------------------------------------------------

#: One pipeline as data. The median of imgaug's augmenters is 827 bytes; stored kernels may be larger.
MAX_SPEC_BYTES = 4 * MIB
#: Augmenters, parameters and containers in one pipeline, each as often as it is referred to: imgaug walks a
#: child once for each place in which it stands.
MAX_PIPELINE_NODES = 20_000
#: Keys of one dict and elements of one set in a pipeline: made to collide, they cost the square of it.
MAX_PIPELINE_KEYS = 4096
#: Depth of a pipeline's tree. A copy of it takes five Python frames for a level, of the 1,000 there are.
MAX_PIPELINE_DEPTH = 64
#: Pipelines that one client may have at the broker.
MAX_PIPELINES = 16
#: Pipelines that a worker keeps decoded; the broker tells it which to forget.
MAX_WORKER_PIPELINES = 8

# --- credit ----------------------------------------------------------------------------------------------

#: Batches a worker takes: one at work and one waiting, so that no round trip is ever idle.
WORKER_CREDIT = 2
#: More than any round trip needs; what a worker may hold is lost with it and must be done again.
MAX_WORKER_CREDIT = 64
#: Batches that one client may have in the broker's window, besides one for each of its open calls.
MAX_OPEN_BATCHES = 1024
#: Open calls of one client: each may always have one batch in the broker.
MAX_CALLS = 64
#: Receipts that one RECEIVED may hold.
MAX_RECEIPTS_PER_MESSAGE = 4096
#: The broker's advice for output_buffer_size never exceeds this many batches.
ADVICE_MAX_BATCHES = 256
#: All batches in the broker together, in bytes (`--memory`), besides one for each open call.
DEFAULT_MEMORY_BYTES = 2 * GIB
#: Processes that may die of one batch before it is given up.
DEFAULT_MAX_ATTEMPTS = 3

# --- peers -----------------------------------------------------------------------------------------------

#: Connections that have said HELLO or JOIN. Beyond it new ones are refused by name.
MAX_CLIENTS = 1024
MAX_WORKERS = 4096
#: A session token: random, long enough never to be guessed or drawn twice.
TOKEN_BYTES = 16
#: Name and value pairs in which a worker describes its environment.
MAX_ENVIRONMENT_ITEMS = 32

# --- time ------------------------------------------------------------------------------------------------

#: ZMTP heartbeats run in libzmq's own thread, also while an augmenter holds the GIL.
HEARTBEAT_INTERVAL_MS = 1000
#: A peer silent for this long after a heartbeat is gone.
HEARTBEAT_TIMEOUT_MS = 3000
#: Waits between two attempts to reach the broker double from the first to the second, in seconds.
RECONNECT_MIN_S = 0.05
RECONNECT_MAX_S = 1.0
#: No answer to HELLO or JOIN for this long, in seconds: try again on a new connection.
WELCOME_TIMEOUT_S = 3.0
