"""Every metric, with one line of meaning; ``docs/metrics.md`` is made from this file.

Counters exist from the start at 0 for every label value known here, so a dashboard
never has to guess whether a missing series means "none" or "not running".
"""

from __future__ import annotations

from collections import Counter as Tally
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.samples import Sample

from groundswell import step_ids
from groundswell.reports import Totals

# A second series for every counter, which says when it was made, serves nobody here.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()

SOURCES: Final = ("kafka", "files", "generator")
DEPENDENCIES: Final = ("kafka", "elasticsearch", "redis", "sqlite")
#: Steps whose batches are timed.
STEPS: Final = (
    step_ids.DECODE,
    step_ids.ANALYSE,
    step_ids.DOCUMENTS,
    step_ids.DEAD_LETTERS,
    step_ids.TRENDS,
    step_ids.RESCORE,
    step_ids.SCORES,
)
#: Events of a trend.
EVENTS: Final = ("began", "changed", "ended")

#: Lanes of the inference engine.
LANES: Final = ("live", "backfill")

#: What the values of each label are.
LABELS: Final = {
    "source": "`kafka`, `files` or `generator`",
    "dependency": "`kafka`, `elasticsearch`, `redis`, `sqlite`, or `models` while they are being loaded",
    "step": "id of the step in the flow: `decode`, `analyse`, `documents`, `dead-letters`, `trends`, "
    "`rescore`, `scores`, or `crash` for a quarantine",
    "event": "`began`, `changed` or `ended`",
    "reason": "why a record is no post, a short constant",
    "cause": "why a record cannot become a document, or a version must not serve, a short constant",
    "partition": "topic and partition, as `posts/0`",
    "lane": "number of the lane that reads the files; of the engine, `live` or `backfill`",
    "model": "name of the model",
    "version": "version of the model",
    "provider": "execution provider in use",
    "task": "what the model was asked, as `sentiment`",
    "of": "`classes` or `confidence`",
    "kind": "`text` or `padding`",
}


class Described(NamedTuple):
    """A metric as the reference page shows it."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...]


#: Every metric of this file, in its order.
CATALOGUE: list[Described] = []

_LATENCY_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_POWERS_OF_TWO = tuple(2.0**power for power in range(12))
_FRESHNESS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    CATALOGUE.append(Described(name, "counter", meaning, labels))
    return Counter(name, meaning, labels, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    CATALOGUE.append(Described(name, "gauge", meaning, labels))
    return Gauge(name, meaning, labels, registry=REGISTRY)


def _histogram(name: str, meaning: str, *labels: str, buckets: tuple[float, ...] = _LATENCY_SECONDS) -> Histogram:
    CATALOGUE.append(Described(name, "histogram", meaning, labels))
    return Histogram(name, meaning, labels, registry=REGISTRY, buckets=buckets)


RECORDS_IN = _counter("groundswell_records_in_total", "Raw records read from a source.", "source")
BYTES_IN = _counter("groundswell_bytes_in_total", "Bytes of raw records read from a source.", "source")
POSTS_DECODED = _counter("groundswell_posts_decoded_total", "Posts decoded and validated, after unfolding.")
RECORDS_SKIPPED = _counter(
    "groundswell_records_skipped_total", "Records that are no posts (likes, keep-alives, limits).", "reason"
)
DEAD_LETTERS = _counter("groundswell_dead_letters_total", "Records sent to the dead letters.", "step", "cause")
DOCUMENTS_WRITTEN = _counter("groundswell_documents_written_total", "Documents created in the document store.")
DOCUMENTS_DUPLICATE = _counter(
    "groundswell_documents_duplicate_total", "Documents that the store already had (a replay or a repeated post)."
)
DOCUMENTS_DELETED = _counter("groundswell_documents_deleted_total", "Documents removed because their post was.")
DOCUMENTS_UNLABELLED = _counter(
    "groundswell_documents_unlabelled_total",
    "Probabilities that a document was created without, since no field was declared for their tag where it lies.",
)
STORE_RETRIES = _counter("groundswell_retries_total", "Requests or items sent again to a dependency.", "dependency")
DEPENDENCY_UP = _gauge("groundswell_dependency_up", "1 while the dependency answers, else 0.", "dependency")
STEP_SECONDS = _histogram("groundswell_step_seconds", "Time one batch spent in a step.", "step")
FRESHNESS_SECONDS = _histogram(
    "groundswell_freshness_seconds",
    "Age of a post (from its own time) when its document was written.",
    buckets=_FRESHNESS_SECONDS,
)
SOURCE_LAG = _gauge("groundswell_source_lag", "Records behind the end of the partition.", "source", "partition")
FILE_BYTES_LEFT = _gauge("groundswell_file_bytes_left", "Bytes of found files not read yet, as they lie.", "lane")
OFFSETS_EXPIRED = _counter(
    "groundswell_offsets_expired_total", "Records skipped because they had expired before they were read.", "partition"
)
CREDITS_USED = _gauge("groundswell_credits_used", "Records read and not yet handed to the stores.")
EPOCH_AGE = _gauge("groundswell_epoch_age_seconds", "Time since the last epoch was closed.")
RESIDENT_BYTES = _gauge("groundswell_resident_memory_bytes", "Resident memory of the process.")
MODEL_INFO = _gauge(
    "groundswell_model_info", "1 for the model, version and provider in use.", "model", "version", "provider"
)
MODEL_SWAPS = _counter("groundswell_model_swaps_total", "New versions that took over while the job ran.", "model")
MODEL_REFUSALS = _counter(
    "groundswell_model_refusals_total", "New versions that must not serve; the one before went on.", "model", "cause"
)
MODEL_ROLLBACKS = _counter(
    "groundswell_model_rollbacks_total", "Times that the job went back to the champion before.", "model"
)
MODEL_DRIFT = _gauge(
    "groundswell_model_drift",
    "Population stability index of the newest posts against the model's reference.",
    "model",
    "task",
    "of",
)
CANARY_ROWS = _counter("groundswell_canary_rows_total", "Texts that the candidate read.", "model")
CANARY_ERRORS = _counter("groundswell_canary_errors_total", "Texts that the candidate could not score.", "model")
CANARY_AGREEMENT = _gauge(
    "groundswell_canary_agreement",
    "Share of the newest canary texts on which champion and candidate agree.",
    "model",
    "task",
)
CANARY_SHIFT = _gauge(
    "groundswell_canary_shift",
    "Mean, over the newest canary texts, of the candidate's probability of the champion's label less the champion's.",
    "model",
    "task",
)
INFERENCE_ROWS = _counter("groundswell_inference_rows_total", "Texts scored.", "model")
INFERENCE_ERRORS = _counter("groundswell_inference_errors_total", "Texts that the model could not score.", "model")
INFERENCE_TRUNCATED = _counter(
    "groundswell_inference_truncated_total", "Texts of which the model did not see all.", "model"
)
INFERENCE_TOKENS = _counter(
    "groundswell_inference_tokens_total",
    "Tokens sent to the device; `padding` is what was added to fill shapes.",
    "kind",
)
INFERENCE_WAIT = _histogram(
    "groundswell_inference_wait_seconds", "Time of a text between submit and its batch.", "lane"
)
INFERENCE_BATCH_SECONDS = _histogram("groundswell_inference_batch_seconds", "Time of a batch on the device.", "lane")
INFERENCE_BATCH_ROWS = _histogram(
    "groundswell_inference_batch_rows", "Rows of a batch.", "lane", buckets=_POWERS_OF_TWO
)
INFERENCE_QUEUED = _gauge("groundswell_inference_queued_rows", "Rows that wait for the device.", "lane")
HASHTAGS_COUNTED = _counter("groundswell_hashtags_counted_total", "Hashtags of posts that closed panes hold.")
HASHTAGS_LATE = _counter(
    "groundswell_hashtags_late_total", "Hashtags that came too late for any window; their posts are indexed."
)
LIVE_TAGS = _gauge("groundswell_live_tags", "Hashtags held by the shards of this process.")
COUNT_ERROR = _gauge(
    "groundswell_count_error",
    "Most by which a count of the newest window may be too low: above 0, more tags are live than are held exactly.",
)
WATERMARK = _gauge("groundswell_watermark_seconds", "Event time that the windows have reached, Unix seconds.")
WINDOWS_WRITTEN = _counter("groundswell_windows_written_total", "Windows written, corrections included.")
TREND_EVENTS_WRITTEN = _counter("groundswell_trend_events_written_total", "Events of trends written.", "event")
WINDOW_AGE = _gauge(
    "groundswell_window_age_seconds",
    "Time since the end of the newest window that was written; 0 in a process that writes none.",
)
TOPICS_ACTIVE = _gauge("groundswell_topics_active", "Topics that fresh posts are scored against in this process.")
TOPICS_DESCRIBED = _counter("groundswell_topics_described_total", "Topics made of trends, renewals included.")
TOPICS_REFUSED = _counter("groundswell_topics_refused_total", "Trends whose tag got no field in the document store.")
FIRST_SCORES_SECONDS = _histogram(
    "groundswell_first_scores_seconds",
    "Time between a trend's event and the moment at which its best candidates could be sorted.",
)
SCORES_WRITTEN = _counter("groundswell_scores_written_total", "Probabilities given to documents that were there.")
SCORES_PASSED = _counter(
    "groundswell_scores_passed_total", "Probabilities whose document was gone, changed or scored anew meanwhile."
)
SCORES_REFUSED = _counter("groundswell_scores_refused_total", "Probabilities that the document store will not take.")
SCORES_INLINE = _counter("groundswell_scores_inline_total", "Probabilities given to fresh posts.")
DOCUMENTS_JUDGED = _counter("groundswell_documents_judged_total", "Documents that the cross-encoder read.", "lane")
RESTARTS = _gauge("groundswell_restarts", "Times the supervisor has restarted this job since it was started.")


def totals() -> Totals:
    """The counters as one record, for status lines and summaries."""
    dead: Tally[str] = Tally()
    undecoded = 0
    for sample in _samples(DEAD_LETTERS):
        dead[sample.labels["cause"]] += int(sample.value)
        if sample.labels["step"] != "documents":
            undecoded += int(sample.value)
    return Totals(
        read=_total(POSTS_DECODED) + undecoded,
        documents=_total(DOCUMENTS_WRITTEN),
        duplicates=_total(DOCUMENTS_DUPLICATE),
        deleted=_total(DOCUMENTS_DELETED),
        dead={cause: count for cause, count in dead.items() if count},
        skipped={sample.labels["reason"]: int(sample.value) for sample in _samples(RECORDS_SKIPPED) if sample.value},
        retries=_total(STORE_RETRIES),
        scores=_total(SCORES_WRITTEN),
    )


def lag() -> int:
    """Records behind the ends of all partitions."""
    return int(sum(sample.value for family in SOURCE_LAG.collect() for sample in family.samples))


def file_bytes_left() -> int:
    """Bytes of all found files that were not read yet."""
    return int(sum(sample.value for family in FILE_BYTES_LEFT.collect() for sample in family.samples))


def anything_read() -> bool:
    """Whether this process has read any record at all."""
    return any(records_in(source) for source in SOURCES)


def records_in(source: str) -> int:
    """Records read from one source."""
    return int(sum(sample.value for sample in _samples(RECORDS_IN) if sample.labels["source"] == source))


def _samples(counter: Counter) -> list[Sample]:
    return [sample for family in counter.collect() for sample in family.samples if sample.name.endswith("_total")]


def _total(counter: Counter) -> int:
    return int(sum(sample.value for sample in _samples(counter)))


def _initialise() -> None:
    """Make the series of every label value that is known beforehand, at 0."""
    for source in SOURCES:
        RECORDS_IN.labels(source)
        BYTES_IN.labels(source)
    for dependency in DEPENDENCIES:
        STORE_RETRIES.labels(dependency)
    for step in STEPS:
        STEP_SECONDS.labels(step)
    for event in EVENTS:
        TREND_EVENTS_WRITTEN.labels(event)
    for lane in LANES:
        DOCUMENTS_JUDGED.labels(lane)


_initialise()
