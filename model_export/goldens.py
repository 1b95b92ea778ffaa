"""Golden inputs: invented texts whose answers a model must repeat before it may serve."""

from __future__ import annotations

from typing import Final

#: Each kind of text at least once: moods, negation, stretched words, emoji, other scripts, nothing at all.
SENTIMENT: Final = (
    "What a wonderful morning, I love this city!",
    "This is the worst service I have ever seen. Never again.",
    "The train to the coast leaves at 9:40 from platform 3.",
    "not good at all :(",
    "can't wait for saturday :) :)",
    "Soooooo happyyyy right now!!!",
    "@someone did you read this? https://example.org/a/b?c=d #news",
    "RT @someone: it isn't bad, actually",
    "I hate that I love it",
    "Fish &amp; chips &lt;3",
    "It’s “fine”…",
    "😀😀 🎉",
    "#MondayMotivation #coffee #rain",
    "Das Wetter ist heute schön",
    "هذا اليوم جميل",
    "今日は良い天気ですね",
    "ＦＵＬＬ ＷＩＤＴＨ terrible",
    "12345",
    "?",
    "",
    "word " * 600,
)
