"""Tests that need what only training needs: torch and what stands on it, several gigabytes to fetch.

A module of such tests says so before it imports any of it::

    from tests.training import requires_training

    pytestmark = requires_training()

    import torch

``make test TRAIN=1`` installs these packages; ``-m training`` picks these tests, ``-m "not training"`` all others.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Final

import pytest

_NEEDED: Final = ("torch", "transformers", "optimum", "optuna", "safetensors", "mlflow")


def requires_training() -> pytest.MarkDecorator:
    """The mark for the module that asks; without the packages the module is skipped, which strict mode forbids."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        pytest.skip(
            f"{', '.join(missing)} is missing: make test TRAIN=1, or pip install -e '.[train,mlflow]'",
            allow_module_level=True,
        )
    # Nothing is ever fetched because a model is called by its name.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return pytest.mark.training
