"""Settings of what is made of posts: windows, trends, and what models say."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from groundswell.section import NotNegative, Positive, Seconds, Section, Share


class Detection(Section, frozen=True):
    """What begins to trend, and when it has ended."""

    #: Whether trends are looked for, or tags only counted.
    enabled: bool = True
    #: The recent past that is compared with what was before, in seconds.
    recent: Positive = 300
    #: Time after which a tag's past beyond the window counts half, in seconds.
    half_life: Positive = 21_600
    #: Growth of a tag's share of the stream that is no burst.
    tolerated_growth: Annotated[float, Meta(ge=1)] = 2.0
    #: Burst score from which on a tag trends: minus the decimal logarithm of a significance.
    start_score: Annotated[float, Meta(gt=0)] = 6.0
    #: Burst score below which a trend comes to its end.
    stop_score: Annotated[float, Meta(gt=0)] = 2.0
    #: For how long the score must stay below it, in seconds.
    hold: NotNegative = 300
    #: Fewest posts in the window.
    min_count: Positive = 15
    #: Fewest distinct authors in the window.
    min_authors: Positive = 8
    #: Smallest share of distinct authors among the posts.
    min_author_share: Share = 0.1
    #: Accounts that may act as one: a trend begins with more distinct authors than such a ring would show.
    ring: Annotated[int, Meta(ge=1)] = 60
    #: Most trends at a time; the weakest leaves first.
    max_active: Positive = 50
    #: Sample posts that a trend carries.
    samples: NotNegative = 300
    #: Most sample posts held for all tags that may trend, per shard.
    max_samples: Positive = 6_000
    #: An active trend says again what it is at least this often, in seconds.
    refresh: Positive = 60


class Trends(Section, frozen=True):
    """Sliding windows over event time, and the trends in them."""

    #: Whether hashtags are counted at all.
    enabled: bool = True
    #: Size of the window, in seconds; at most 366 days.
    window: Annotated[int, Meta(ge=1, le=31_622_400)] = 1_800
    #: Time between two windows, in seconds.
    slide: Positive = 10
    #: Tags of a window that are reported.
    top: Positive = 20
    #: How much older than the newest post of its partition a post may be, in seconds.
    disorder: Annotated[float, Meta(ge=0)] = 10.0
    #: How long a window is corrected for posts that are older than that, in seconds.
    lateness: NotNegative = 60
    #: A partition that had nothing new for this long holds nobody up, in seconds.
    idle_timeout: Seconds = 30.0
    #: When no partition has anything new, let event time move on by the wall time that passes.
    advance_when_idle: bool = True
    #: Whether a repost counts the tags of its original.
    count_original: bool = True
    #: A post whose id was counted with a time up to this much earlier is not counted again, in seconds.
    dedupe_horizon: NotNegative = 300
    #: Tags per shard (of 16) up to which every count is exact.
    max_live_tags: Positive = 250_000
    #: How long the windows in Redis are kept, in seconds by the clock and by event time alike.
    window_ttl: Positive = 86_400
    #: What begins to trend.
    detection: Detection = Detection()


class Models(Section, frozen=True):
    """The models that read posts, and the device that runs them."""

    #: Model repository: a folder or an ``fsspec`` URL (``s3://``, ``gs://``); empty means the one that is shipped.
    repository: str = ""
    #: Where verified copies of a remote repository lie; empty means ``<data_dir>/models``.
    cache: str = ""
    #: ``name@alias`` or ``name@version`` of the model that reads every post; empty turns models off.
    posts: str = "encoder@champion"
    #: Precision of the graph: ``auto`` takes ``int8`` on a processor and ``fp16`` on a GPU where the version has it.
    precision: Literal["auto", "fp32", "fp16", "int8"] = "auto"
    #: Execution provider; the job does not start on another one.
    provider: Literal["cpu", "cuda", "tensorrt"] = "cpu"
    #: Number of the GPU.
    device: NotNegative = 0
    #: Threads of the model runtime on a processor; 0 means what the machine grants.
    threads: NotNegative = 0
    #: Where TensorRT keeps its engines; empty means ``<data_dir>/engines``.
    engine_cache: str = ""
    #: Lengths, in tokens, that batches are padded to; empty means the built-in ones.
    buckets: tuple[Positive, ...] = ()
    #: Tokens of one batch, padding included; 0 means what suits the provider.
    batch_tokens: NotNegative = 0
    #: Longest time that a text waits for others to fill its batch while the device is idle, in seconds.
    linger: Annotated[float, Meta(ge=0, le=1)] = 0.002
    #: Rows that may wait for the device; who submits more is held.
    queue_rows: Positive = 16_384
    #: File through which engines that share a device tell each other how long live texts wait; empty means
    #: ``<data_dir>/live-latency``.
    live_latency: str = ""
    #: Seconds between two looks at the aliases of the repository; 0 never looks again.
    refresh: Annotated[float, Meta(ge=0)] = 2.0
    #: Share of posts that the alias ``candidate`` reads, where there is one.
    canary: Share = 0.0
    #: Posts behind each measurement of drift.
    drift_rows: Annotated[int, Meta(ge=100)] = 2_000
    #: PSI above which a new champion counts as drifted.
    drift_limit: Annotated[float, Meta(gt=0)] = 0.25
    #: Go back to the previous champion by itself when the new one drifts.
    roll_back: bool = False


class Reclassify(Section, frozen=True):
    """How documents are re-read in the light of what begins to trend."""

    #: ``candidates`` scores the documents that may be about the topic, ``all`` every document.
    coverage: Literal["candidates", "all"] = "candidates"
    #: ``evidence`` lets the tag's own posts say what it means; ``nli`` is a zero-shot score by the label alone.
    scorer: Literal["evidence", "nli"] = "evidence"
    #: ``name@alias`` or ``name@version`` of the model that weighs the evidence.
    evidence: str = "topic-evidence@champion"
    #: ``name@alias`` or ``name@version`` of the cross-encoder that reads what is uncertain; empty means none does.
    cross_encoder: str = "nli@champion"
    #: The sentence that the label is put into where the cross-encoder judges entailment.
    template: str = "This text is about {}."
    #: Probability from which on a document is listed under the tag (``topics``).
    threshold: Share = 0.5
    #: A document whose evidence gives it less than this gets no probability, unless it carries the tag.
    least_score: Share = 0.05
    #: Documents whose scores are made searchable at once.
    first: Annotated[int, Meta(gt=0, le=1000)] = 100
    #: Most documents that the cross-encoder reads for one topic.
    most_judged: NotNegative = 2_000
    #: Share of its members that a topic may miss where looking further finds hardly any.
    tolerated_loss: Share = 0.02
    #: Most tags that documents can be scored by at a time.
    max_labels: Positive = 100
    #: How long an index that is made after a trend has ended still gets its field, in seconds.
    keep_label: Positive = 86_400
    #: Seconds between two looks at the topics by a process that indexes posts.
    refresh: Seconds = 0.25
