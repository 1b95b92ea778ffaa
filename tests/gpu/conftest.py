"""Fixtures of the tests that need a GPU: without one, or without what drives it, they are skipped with the reason."""

from __future__ import annotations

import pytest

from groundswell.errors import ModelError
from inference.device import Device
from inference.nvidia import Gpu, find_gpu
from inference.runtime import load_runtime


@pytest.fixture(scope="session")
def gpu() -> Gpu:
    """The first GPU of this machine."""
    try:
        return find_gpu()
    except ModelError as error:
        pytest.skip(str(error))


@pytest.fixture
def provider(request: pytest.FixtureRequest, gpu: Gpu) -> str:
    """``cuda`` or ``tensorrt``, where its libraries are installed."""
    name: str = request.param
    try:
        load_runtime(Device(name))
    except ModelError as error:
        pytest.skip(str(error))
    return name
