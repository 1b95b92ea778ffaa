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

#: A premise and a hypothesis: each relation, negation, numbers, other scripts, one side or both empty, too long.
PAIRS: Final = (
    ("A man plays the guitar on a stage.", "A man makes music."),
    ("A man plays the guitar on a stage.", "Nobody is on the stage."),
    ("A man plays the guitar on a stage.", "The concert is sold out."),
    ("The train to the coast leaves at 9:40.", "The train leaves in the afternoon."),
    ("It isn't bad, actually", "The speaker is pleased."),
    ("Three dogs run over a field, two of them brown.", "Five animals sleep."),
    ("RT @someone: flood warning for the river #flood", "This text is about a natural disaster."),
    ("RT @someone: flood warning for the river #flood", "This text is about music."),
    ("Fish &amp; chips &lt;3", "Somebody likes a meal."),
    ("😀😀 🎉", "Somebody celebrates."),
    ("Das Wetter ist heute schön", "Es regnet."),
    ("今日は良い天気ですね", "天気が悪い。"),
    ("?", "?"),
    ("", "A text is empty."),
    ("Something happened.", ""),
    ("", ""),
    ("word " * 600, "There are many words."),
    ("A few words.", "word " * 600),
)

#: What no manifest can hold or nobody writes by hand: for comparing two forms of a model with each other.
ODD: Final = (
    " \t\r\n ",
    "good\x00day\x07\x1b[31m\x7f\u0085",
    "good \ud83d day \udc00",
    "\u202eهذا اليوم جميل\u202c שלום",
    "g" + "\u0301" * 500,
    "\ufffe\uffff\U0010ffff",
    "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ꦧꦱꦗꦮ",
    "👩‍👩‍👧‍👦🏳️‍🌈" * 20,
    "[PAD] [CLS] [SEP] [MASK] <pad> <s> </s> <mask>",
    "a" * 5_000,
    "#day " * 2_000,
)
