"""What the stack raises."""

from __future__ import annotations


class StackError(Exception):
    """The servers cannot be had; the message is one line that says what to do."""
