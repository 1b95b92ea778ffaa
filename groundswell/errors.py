"""Errors by what the job does about them."""

from __future__ import annotations


class GroundswellError(Exception):
    """Base of every error that this project raises on purpose."""


class SettingsError(GroundswellError):
    """Settings that cannot be used; refused at start-up with exit code 2."""


class DecodeError(GroundswellError):
    """Bytes that are no valid post: a dead letter.

    ``cause`` is a short constant (a metric label), ``detail`` says what was seen.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


class StopJob(GroundswellError):
    """The job cannot go on and a restart would not help: exit non-zero with this reason."""


class Unavailable(GroundswellError):
    """A dependency does not answer now; the caller retries with backoff."""

    def __init__(self, dependency: str, reason: str) -> None:
        super().__init__(f"{dependency}: {reason}")
        self.dependency = dependency
        self.reason = reason


class Draining(GroundswellError):
    """A wait was given up because the job was told to stop."""


class ModelError(GroundswellError):
    """A model that must not serve: missing, corrupt or with a wrong signature."""
