"""The report on a data file: figures, and every kind of anomaly planted in a clean file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_export import data_report
from model_export.data_report import KINDS, DataReport, Lengths, report
from model_export.labelled_file import NO_JSON, UNDECODABLE, WRONG_COLUMNS
from tests.model_export.labelled import SENTIMENT, nli_rows, sentiment_rows, write_lines

Rows = list[Any]


def _report(folder: Path, rows: Rows, *others: Rows) -> DataReport:
    file = write_lines(folder / "rows.jsonl", rows)
    against = [write_lines(folder / f"other-{number}.jsonl", other) for number, other in enumerate(others)]
    return report(file, labels=SENTIMENT, against=against)


def test_a_clean_file_has_figures_and_no_anomaly(tmp_path: Path) -> None:
    found = _report(tmp_path, sentiment_rows(300), sentiment_rows(60, salt="other"))
    assert found.anomalies == ()
    assert (found.rows, found.distinct, found.pairs) == (300, 300, False)
    assert found.labels == dict.fromkeys(SENTIMENT, 100)
    assert found.sources == {"twitter": 150, "mastodon": 150}
    assert found.languages == {"en": 240, "de": 60}
    assert [(column.name, column.share) for column in found.columns] == [
        (name, 1.0) for name in ("text", "label", "source", "lang")
    ]
    assert isinstance(found.lengths, Lengths) and found.lengths.least < found.lengths.median < found.lengths.most


def test_labels_may_be_written_in_any_case(tmp_path: Path) -> None:
    rows = [{**row, "label": row["label"].upper()} for row in sentiment_rows(30)]
    assert _report(tmp_path, rows).anomalies == ()


def test_source_and_language_may_be_left_out_here_and_there(tmp_path: Path) -> None:
    rows = sentiment_rows(30)
    del rows[3]["lang"], rows[7]["source"]
    assert _report(tmp_path, rows).anomalies == ()


def _unknown(rows: Rows) -> None:
    rows[4]["label"] = "mixed"


def _empty(rows: Rows) -> None:
    rows[4]["text"] = " \u200b\n"


def _again(rows: Rows) -> None:
    rows.append(dict(rows[0], text=rows[0]["text"].upper() + " "))


def _otherwise(rows: Rows) -> None:
    rows.append(dict(rows[0], label="positive"))


def _uneven(rows: Rows) -> None:
    rows[:] = [row for number, row in enumerate(rows) if row["label"] != "neutral" or number < 10]


def _only_two(rows: Rows) -> None:
    rows[:] = [row for row in rows if row["label"] != "neutral"]


def _not_utf8(rows: Rows) -> None:
    rows[4] = b'{"text": "caf\xe9", "label": "neutral"}'


def _no_json(rows: Rows) -> None:
    rows[4] = b'{"text": "half of'


def _renamed(rows: Rows) -> None:
    rows[4] = {"tweet": rows[4]["text"], "label": "neutral"}


def _one_more(rows: Rows) -> None:
    rows[4]["polarity"] = 0


def _endless(rows: Rows) -> None:
    rows[4]["text"] = "ever on " * 5_000


def _far_out(rows: Rows) -> None:
    rows[4]["text"] = "and on " * 500


def _torn(rows: Rows) -> None:
    rows[4]["text"] = "what a da\ufffd"


def _cut(rows: Rows) -> None:
    rows[4] = rb'{"text": "cut emoji \ud83d", "label": "neutral", "source": "twitter", "lang": "en"}'


def _control(rows: Rows) -> None:
    rows[4]["text"] = "a bell \x07 rings"


def _nothing(rows: Rows) -> None:
    rows.clear()


@pytest.mark.parametrize(
    ("plant", "kind", "line"),
    [
        (_unknown, data_report.UNKNOWN_LABEL, 5),
        (_empty, data_report.EMPTY_TEXT, 5),
        (_again, data_report.DUPLICATE_ROWS, 301),
        (_otherwise, data_report.CONFLICTING_LABELS, 301),
        (_uneven, data_report.IMBALANCE, None),
        (_only_two, data_report.MISSING_LABEL, None),
        (_not_utf8, UNDECODABLE, 5),
        (_no_json, NO_JSON, 5),
        (_renamed, WRONG_COLUMNS, 5),
        (_one_more, WRONG_COLUMNS, 5),
        (_endless, data_report.ABSURD_LENGTH, 5),
        (_far_out, data_report.ABSURD_LENGTH, 5),
        (_torn, data_report.DAMAGED_TEXT, 5),
        (_cut, data_report.DAMAGED_TEXT, 5),
        (_control, data_report.DAMAGED_TEXT, 5),
        (_nothing, data_report.NO_ROWS, None),
    ],
)
def test_a_planted_anomaly_is_named_with_its_line(
    tmp_path: Path, plant: Callable[[Rows], None], kind: str, line: int | None
) -> None:
    rows = sentiment_rows(300)
    plant(rows)
    (anomaly,) = _report(tmp_path, rows).anomalies
    assert anomaly.kind == kind
    assert (anomaly.rows, anomaly.lines[:1]) == ((0, ()) if line is None else (len(anomaly.lines), (line,)))
    assert anomaly.detail


def test_texts_that_another_file_has_too_or_nearly_leak(tmp_path: Path) -> None:
    rows, others = sentiment_rows(300), sentiment_rows(60, salt="other")
    others[10]["text"] = rows[20]["text"]
    others[11]["text"] = "RT @ann " + rows[30]["text"] + " http://t.co/x more"
    others.append({**others[0], "text": "!!!"})
    rows.append({**rows[0], "text": "!!!"})
    (anomaly,) = _report(tmp_path, rows, sentiment_rows(60, salt="clean"), others).anomalies
    assert (anomaly.kind, anomaly.lines) == (data_report.LEAK, (21, 31, 301))


def test_a_pair_leaks_when_its_premise_does(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", nli_rows(30))
    other = write_lines(tmp_path / "b.jsonl", [{**row, "premise": f"b {row['premise']}"} for row in nli_rows(30)])
    assert report(file, against=[other]).anomalies == ()
    other = write_lines(tmp_path / "b.jsonl", [{**nli_rows(9)[8], "hypothesis": "another"}, *nli_rows(40)[31:]])
    (anomaly,) = report(file, against=[other]).anomalies
    assert (anomaly.kind, anomaly.lines) == (data_report.LEAK, (9,))


def test_labels_far_from_those_of_the_other_file_are_an_anomaly(tmp_path: Path) -> None:
    others = [row for row in sentiment_rows(300, salt="other") if row["label"] != "negative" or "w0x" in row["text"]]
    (anomaly,) = _report(tmp_path, sentiment_rows(300), others).anomalies
    assert anomaly.kind == data_report.LABEL_SHIFT


def test_all_labels_that_are_missing_are_named_in_one_finding(tmp_path: Path) -> None:
    (anomaly,) = _report(tmp_path, [row for row in sentiment_rows(30) if row["label"] == "neutral"]).anomalies
    assert (anomaly.kind, anomaly.rows, anomaly.lines) == (data_report.MISSING_LABEL, 0, ())
    assert anomaly.detail == "no row is labelled 'negative' or 'positive'"


def test_a_single_label_is_an_anomaly_although_no_task_is_named(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [row for row in sentiment_rows(30) if row["label"] == "neutral"])
    assert [anomaly.kind for anomaly in report(file).anomalies] == [data_report.MISSING_LABEL]


def test_every_kind_has_its_rule_and_several_come_in_their_order(tmp_path: Path) -> None:
    rows = sentiment_rows(300)
    for plant in (_unknown, _again, _no_json):
        plant(rows)
    rows[7]["text"] = ""
    kinds = [anomaly.kind for anomaly in _report(tmp_path, rows).anomalies]
    assert kinds == [NO_JSON, data_report.EMPTY_TEXT, data_report.DUPLICATE_ROWS]
    assert kinds == sorted(kinds, key=list(KINDS).index)
