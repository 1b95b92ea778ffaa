"""From judged posts to an evidence model, by the operators of the job.

Each topic meets its event's posts in three *settings*: as they are, without their hashtags,
and among posts of everything else, where it is rare. In each it is described from the
posts that carry its tag, then refined as in the job; what is fitted is how the features of
either topic become a probability.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from groundswell.records import Post
from groundswell.topics import Topic
from inference.evidence_model import EvidenceFile, EvidenceModel, Weights, probabilities
from model_export.evidence_fit import NAME, Rows, common_words, fit
from model_export.topic_data import SAME, JudgedPost
from operators import hashtags
from operators.topics.description import Embed, Segments, describe, describe_label, without_hashtags
from operators.topics.evidence import FORMS, LEARNT, POSTS, SET_APART, TAGGED, WORDS, Evidence, Floats, form_of, tokens
from operators.topics.offline import trend_of
from operators.topics.refinement import Documents, prior_shift, refine

#: Tags with fewer posts, or with a smaller share of posts about the event, are no topics to fit on.
FEWEST_TAGGED: Final = 100
LEAST_ABOUT: Final = 0.88
#: Places are about more than what happens there.
PLACES: Final = frozenset(
    {"yyc", "calgary", "alberta", "oklahoma", "moore", "australia", "queensland", "brisbane", "west", "texas", "waco"}
)
#: Posts of an event in a setting, posts of everything else beside them, and its own among those.
OWN: Final = 4_000
ELSEWHERE: Final = 8_000
RARE: Final = 80
#: What the posts of everything else weigh beside those of an event.
ELSEWHERE_WEIGHT: Final = 0.5

_AT: Final = datetime(2000, 1, 1, tzinfo=UTC)
_SETTINGS: Final = {"full": 1.0, "plain": 1.0, "rare": ELSEWHERE_WEIGHT}


class Judged(NamedTuple):
    """Posts as evidence reads them, in parallel, the event that each is of, and which are about that."""

    texts: list[str]
    vectors: list[bytes | None]
    hashtags: list[tuple[str, ...]]
    events: list[str]
    about: NDArray[np.bool_]

    def at(self, places: Sequence[int]) -> Judged:
        """Those at some places."""
        return Judged(
            [self.texts[place] for place in places],
            [self.vectors[place] for place in places],
            [self.hashtags[place] for place in places],
            [self.events[place] for place in places],
            self.about[list(places)],
        )

    def documents(self) -> Documents:
        """What a topic learns from: these and no others."""
        return Documents(self.texts, self.vectors, self.hashtags, len(self.texts))


class Subject(NamedTuple):
    """A tag of an event, its topic before it has learnt, that of its phrase alone, and its settings by name."""

    event: str
    tag: str
    topic: Topic
    only_label: Topic
    settings: Mapping[str, Judged]


class EvidenceFitting:
    """Makes evidence models of judged posts; deterministic.

    ``events`` are collections with posts on and off topic; ``elsewhere`` are posts of other
    events, with the names of those; ``at_large`` are posts about anything. ``embed`` gives
    vectors of ``space``; of an event's posts ``own`` are used.
    """

    def __init__(
        self,
        events: Sequence[JudgedPost],
        elsewhere: Sequence[JudgedPost],
        at_large: Sequence[str],
        segmenter: Segments,
        embed: Embed,
        space: str,
        own: int = OWN,
    ) -> None:
        texts, words = common_words(tokens(text, hashtags.extract(text)) for text in at_large)
        blank = {form: Weights(0.0, dict.fromkeys(names, 0.0)) for form, names in FORMS.items()}
        self._file = EvidenceFile(forms=blank, texts=texts, words=words)
        self.space: Final = space
        self._own = own
        others = [*elsewhere, *(JudgedPost("", "", text, about=False) for text in at_large)]
        collections: defaultdict[str, list[JudgedPost]] = defaultdict(list)
        for post in events:
            collections[post.event].append(post)
        self.subjects: Final = [
            self._subject(event, tag, posts, [*events, *others], segmenter, embed)
            for event, posts in collections.items()
            for tag in subjects_of(posts)
        ]

    @property
    def events(self) -> list[str]:
        """The events that there are subjects of."""
        return list(dict.fromkeys(subject.event for subject in self.subjects))

    def fitted(self, without: Collection[str] = ()) -> tuple[EvidenceFile, dict[str, list[Rows]]]:
        """The model that knows nothing of the events ``without``, and what each of its forms was fitted on."""
        left_out = {*without, *(SAME[event] for event in without if event in SAME)}
        subjects = [subject for subject in self.subjects if subject.event not in left_out]
        rows = self._rows(subjects, left_out, lambda subject, _: subject.topic)
        rows |= self._rows(subjects, left_out, lambda subject, _: subject.only_label)
        rows[WORDS] = rows[POSTS]
        forms = dict(self._file.forms) | {
            form: _first_look(form, fit(rows[form], FORMS[form]), rows[form]) for form in rows
        }
        model = self.model(replace(self._file, forms=forms))
        rows |= self._rows(
            subjects, left_out, lambda subject, posts: refine(subject.topic, posts.documents(), model, _AT)
        )
        forms |= {form: fit(rows[form], FORMS[form]) for form in (LEARNT, SET_APART)}
        return replace(self._file, forms=forms), rows

    def model(self, file: EvidenceFile) -> EvidenceModel:
        """A file as a model that is not published."""
        return EvidenceModel(file, NAME, self.space)

    def _rows(
        self, subjects: Sequence[Subject], left_out: Collection[str], topic: Callable[[Subject, Judged], Topic]
    ) -> dict[str, list[Rows]]:
        """The features of the subjects in all settings, against the topic that each has there, by its form."""
        model = self.model(self._file)
        found: defaultdict[str, list[Rows]] = defaultdict(list)
        for subject in subjects:
            for name, weight in _SETTINGS.items():
                posts = subject.settings[name]
                posts = posts.at([place for place, event in enumerate(posts.events) if event not in left_out])
                about = topic(subject, posts)
                features, _ = Evidence([about], model).features(posts.texts, posts.vectors, posts.hashtags)
                columns = {feature: values[:, 0] for feature, values in features.items()}
                found[form_of(about)].append(Rows(subject.event, columns, posts.about, weight, rare=name == "rare"))
        return dict(found)

    def _subject(
        self,
        event: str,
        tag: str,
        posts: Sequence[JudgedPost],
        others: Sequence[JudgedPost],
        segmenter: Segments,
        embed: Embed,
    ) -> Subject:
        model = self.model(self._file)
        trend = trend_of(tag, [as_post(post) for post in posts])
        topic = describe(trend, segmenter, embed, self.space, _AT, model)
        own = chosen(posts, self._own, tag)
        rare = [
            *chosen([post for post in others if post.event not in (event, SAME.get(event))], ELSEWHERE, tag),
            *chosen([post for post in posts if post.about], RARE, tag),
            *chosen([post for post in posts if not post.about], RARE, tag),
        ]
        # Without their hashtags only those say something new that had not this one.
        plain = [
            post._replace(text=without_hashtags(post.text)) for post in own if tag not in hashtags.extract(post.text)
        ]
        return Subject(
            event,
            tag,
            topic,
            describe_label(tag, topic.phrase, embed, self.space, _AT, model),
            {name: judged(found, event, embed) for name, found in (("full", own), ("plain", plain), ("rare", rare))},
        )


def subjects_of(posts: Sequence[JudgedPost]) -> list[str]:
    """The tags of an event's posts that name it, by the rule of the constants here, the most frequent first."""
    counts: Counter[str] = Counter()
    about: Counter[str] = Counter()
    for post in posts:
        tags = hashtags.extract(post.text)
        counts.update(tags)
        if post.about:
            about.update(tags)
    return [
        tag
        for tag, count in counts.most_common()
        if count >= FEWEST_TAGGED and about[tag] >= LEAST_ABOUT * count and tag not in PLACES
    ]


def as_post(post: JudgedPost) -> Post:
    """A judged post as the job knows it; no service said what it repeats."""
    return Post(
        post.id,
        "crisislex",
        post.text,
        _AT,
        hashtags=hashtags.extract(post.text),
        repost_of="" if post.repost else None,
    )


def judged(posts: Sequence[JudgedPost], event: str, embed: Embed) -> Judged:
    """Posts with their vectors; about it are those that are judged so of ``event``."""
    texts = [post.text for post in posts]
    return Judged(
        texts,
        list(embed(texts)),
        [hashtags.extract(text) for text in texts],
        [post.event for post in posts],
        np.array([post.about and post.event == event for post in posts], dtype=bool),
    )


def chosen(posts: Sequence[JudgedPost], most: int, salt: str) -> list[JudgedPost]:
    """Up to ``most`` of the posts, by a hash: the same on every machine, others for another ``salt``."""
    if len(posts) <= most:
        return list(posts)
    keyed = [
        (hashlib.sha256(f"{salt}\0{post.id}\0{post.text}".encode()).digest(), place) for place, post in enumerate(posts)
    ]
    return [posts[place] for place in sorted(place for _, place in sorted(keyed)[:most])]


def _first_look(form: str, weights: Weights, rows: Sequence[Rows]) -> Weights:
    """The weights with the shift that fits where topics are rare, on average over the topics."""
    blank = EvidenceModel(EvidenceFile(forms={form: weights}, texts=1, words={}), NAME, None)
    shifts = []
    for each in rows:
        if each.rare:
            scores: Floats = probabilities(blank.logits(form, each.features))[each.features[TAGGED] == 0]
            shifts.append(prior_shift(scores, len(scores), weights.share))
    return replace(weights, shift=round(float(np.mean(shifts)), 3))
