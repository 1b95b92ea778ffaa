"""Texts that break scorers."""

from __future__ import annotations

ODD_TEXTS = {
    "empty": "",
    "blank": " \t\r\n ",
    "1 MB of words": "good day " * 120_000,
    "1 MB without a space": "a" * 1_000_000,
    "1 MB of emoticon beginnings": ":" * 1_000_000,
    "1 MB of eights and threes": "83" * 500_000,
    "1 MB of ampersands": "&" * 1_000_000,
    "ligatures that unfold": "\ufdfa" * 100_000,
    "only emoji": "😀😡👩‍👩‍👧‍👦🏳️‍🌈",
    "control characters": "good\x00day\x07\x1b[31m\x7f\u0085",
    "lone surrogates": "good \ud83d day \udc00",
    "right to left": "\u202eهذا اليوم جميل\u202c שלום",
    "10,000 hashtags": "#day " * 10_000,
    "unknown language": "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ꦧꦱꦗꦮ",
    "combining marks": "g" + "\u0301" * 50_000,
    "not characters": "\ufffe\uffff\U0010ffff",
}
