"""Trends as JSON: what lies in the topic and in the document stores.

A text may hold half a surrogate pair, which no JSON in UTF-8 can; it becomes a question mark.
"""

from __future__ import annotations

from typing import Any

import msgspec

from groundswell.trends import Sample, Trend, TrendDocument, TrendEvent

_ENCODER = msgspec.json.Encoder()
#: Longest texts of samples when the whole would be too large, in characters, one after another.
_SHORTER = (4000, 1000)


def encode_trend(value: TrendEvent | TrendDocument | Trend) -> bytes:
    """JSON in UTF-8; times are RFC 3339."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        return _ENCODER.encode(_sound(msgspec.to_builtins(value)))


def encode_within(event: TrendEvent, limit: int) -> tuple[bytes, int]:
    """An event in ``limit`` bytes as far as its samples allow it, and how many samples are left.

    First long texts of samples are cut, then samples are left out evenly, then all of them; what
    is too large even so goes without companions and words.
    """
    samples = event.trend.samples
    encoded = encode_trend(event)
    for longest in _SHORTER:
        if len(encoded) <= limit:
            return encoded, len(samples)
        samples = tuple(msgspec.structs.replace(sample, text=sample.text[:longest]) for sample in samples)
        encoded = encode_trend(_with(event, samples))
    keep = len(samples)
    while len(encoded) > limit and keep:
        # The share that would fit, were all samples of one size and nothing else there.
        keep = min(keep - 1, keep * limit // len(encoded))
        chosen = tuple(samples[position * len(samples) // keep] for position in range(keep))
        encoded = encode_trend(_with(event, chosen))
    if len(encoded) > limit:
        encoded = encode_trend(_with(event, (), cotags=(), words=()))
    return encoded, keep


def plain(text: str) -> str:
    """The text as UTF-8 can hold it.

    >>> plain("half \\ud83d")
    'half ?'
    """
    return text.encode("utf-8", "replace").decode()


def _with(event: TrendEvent, samples: tuple[Sample, ...], **rest: tuple[()]) -> TrendEvent:
    return msgspec.structs.replace(event, trend=msgspec.structs.replace(event.trend, samples=samples, **rest))


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {_sound(name): _sound(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(member) for member in value]
    return value
