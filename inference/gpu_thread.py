"""The one thread that talks to a GPU.

onnxruntime keeps a captured CUDA graph with the thread that captured it, so the thread
that warms a model must be the thread that runs it. And while a graph is captured, what
another thread does with the GPU (a copy, an allocation) breaks the capture or fails. So
all models of a process on one GPU run on one thread, and :data:`LOADING` keeps a model
that is being opened away from one that is being captured.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import Final

#: Held while a model is opened or warmed on a GPU.
LOADING: Final = Lock()


@cache
def gpu_thread(number: int) -> ThreadPoolExecutor:
    """The thread of the GPU of that number; it ends with the process."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"gpu-{number}")
