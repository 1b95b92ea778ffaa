"""From small public texts and sets to a published word model, and what is refused."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from cli.main import main
from groundswell.errors import ModelError
from inference.manifest import MANIFEST, WORD_MODEL
from inference.repository import Repository
from inference.version import open_version
from inference.word_model import WordModel, prove
from model_export import tag_sets, word_counts, words
from model_export.datasets import DataError
from model_export.tag_sets import Tag
from model_export.verify import verify
from model_export.word_counts import Counted, Counts

TABLE = {
    "the": -3.5,
    "The": -5.0,
    "pray": -9.0,
    "for": -4.8,
    "Oklahoma": -12.0,
    "good": -7.0,
    "morning": -8.5,
    "!": -3.0,
}
#: A text for each file that is counted, its column in its place.
TEXT = "RT @ann: good morning Oklahoma, don't stop! http://t.co/x #PrayForOklahoma #oklahoma"


def write(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(content.encode()))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public")
    for each in word_counts.TEXTS:
        file = folder / each.pattern.replace("*", "2013")
        if isinstance(each.column, int):
            write(file, "\t".join(["x"] * each.column + [f"{TEXT} {file.name.partition('.')[0]}"]) + "\n")
        else:
            write(file, f'id,{each.column}\n1,"{TEXT}"\n2,"{TEXT} again"\n')
    sets = folder / tag_sets.FOLDER
    for name in tag_sets.STAN:
        rows = [
            "Rain. #PrayForOklahoma\tPrayForOklahoma\tPray for Oklahoma",
            "#cantwait\tcantwait\tcan't wait\tcant wait",
        ]
        write(sets / name, "\n".join(rows) + "\n")
    write(sets / tag_sets.BOUN, "good morning \npray \n")
    columns = "Unsegmented_hashtag,Segmented_hashtag_lowerCase"
    write(sets / tag_sets.HASHSET, f"{columns}\n" + "".join(f"#GoodMorning{n},good morning {n}\n" for n in range(40)))
    (folder / "table.json.gz").write_bytes(gzip.compress(msgspec.json.encode(TABLE)))
    return folder


@pytest.fixture(scope="module")
def published(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    arguments = ["--data", str(data), "--frequencies", str(data / "table.json.gz"), "--repository", str(root)]
    assert main(["models", "words", *arguments]) == 0
    return root


def test_the_command_publishes_a_model_that_reads(published: Path) -> None:
    repository = Repository(published)
    assert verify(repository, words.NAME) == []
    model = WordModel.load(repository.open(words.NAME))
    assert model.read("prayforoklahoma")[0] == ("pray", "for", "oklahoma")
    assert "dont" in model
    assert "http" not in model


def test_it_says_where_it_comes_from(published: Path) -> None:
    version = Repository(published).open(words.NAME)
    assert version.manifest.metrics["BOUN"]["n"] == 2
    assert {source.use for source in version.manifest.data} == {word_counts.USE, "validation"}
    card = version.read("README.md").decode()
    assert all(word in card for word in ("Licence", "Limits", "twitter-2013-A.tsv.gz", "95 %"))


def test_making_it_again_gives_the_same_version(data: Path, published: Path, tmp_path: Path) -> None:
    ref, _ = words.make(data, tmp_path, frequencies=data / "table.json.gz")
    assert ref == Repository(published).resolve(words.NAME)


def test_a_version_that_reads_otherwise_than_its_manifest_says_is_a_finding(published: Path, tmp_path: Path) -> None:
    folder = Repository(published).open(words.NAME).folder
    copy = tmp_path / words.NAME / folder.name
    copy.parent.mkdir()
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes().replace(b'"pray for oklahoma"', b'"prayfor oklahoma"'))
    (found,) = verify(Repository(tmp_path), f"{words.NAME}@{folder.name}")
    assert "its manifest expects" in found


def test_a_version_without_a_graph_serves_no_task(published: Path) -> None:
    version = Repository(published).open(words.NAME)
    with pytest.raises(ModelError, match="has no graph"):
        version.graph()
    assert prove(open_version(version.folder, version.ref.name, version.ref.version)).read("") == ((), 0.0)
    assert {file.name for file in version.folder.iterdir()} == {MANIFEST, WORD_MODEL, "README.md"}


def test_texts_are_counted_once_and_hashtags_by_their_capitals(data: Path) -> None:
    found = word_counts.count(data)
    files = len(list(data.glob("*/**/*.gz"))) - len(list((data / tag_sets.FOLDER).iterdir()))
    assert len(found.sources) == files
    assert found.tags.words == Counter(pray=1, **{"for": 1}, oklahoma=1)
    assert found.texts.pairs["good", "morning"] == found.texts.words["dont"]
    assert ("stop", "http") not in found.texts.pairs


@pytest.mark.parametrize(
    "missing", ["tweets_trend/mabed_sample_2009-11.tsv.gz", "hashtag_segmentation/Dev-BOUN.txt.gz"]
)
def test_without_data_it_says_what_to_bring(data: Path, tmp_path: Path, missing: str) -> None:
    for file in data.rglob("*.gz"):
        relative = file.relative_to(data)
        if str(relative) != missing:
            (tmp_path / relative).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / relative).write_bytes(file.read_bytes())
    with pytest.raises(DataError, match="bring"):
        words.make(tmp_path, tmp_path / "models", frequencies=tmp_path / "table.json.gz")
    assert not (tmp_path / "models").exists()


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.json.gz").write_bytes(b"no")
    with pytest.raises(DataError, match="cannot be read"):
        word_counts.table(tmp_path / "table.json.gz")


def test_only_the_most_frequent_words_and_pairs_are_kept() -> None:
    texts = Counts(Counter(), Counter())
    for stretch in (["good", "morning"], ["good", "morning"], ["good", "day"], ["pray"]):
        texts.add(stretch)
    counted = Counted(texts, Counts(Counter(), Counter()), ())
    file = words.word_file({}, counted, words.WEIGHTS, words=2, pairs=1)
    assert " ".join(file.words).split() == ["good", "morning"]
    assert [pair for line in file.pairs for pair in line.split()] == ["good-morning"]


def test_no_tag_is_both_chosen_on_and_reported(data: Path) -> None:
    sets = tag_sets.read(data)
    chosen = {tag.tag for name in tag_sets.CHOSEN_ON for tag in sets[name]}
    assert chosen
    assert not chosen & {tag.tag for name in ("STAN", "HashSet") for tag in sets[name]}
    assert sum(len(sets[name]) for name in ("HashSet", "HashSet, chosen on")) == 40


def test_accuracy_is_of_words_without_case_and_punctuation() -> None:
    tags = [Tag("CantWait", frozenset({"cant wait"})), Tag("oklahoma", frozenset({"oklahoma"}))]
    found = tag_sets.accuracy(tags, lambda tag: ("Can't", "wait"))
    assert (found.n, found.share) == (2, 0.5)
    assert (found.low, found.high) == pytest.approx((0.0945, 0.9055), abs=1e-3)
    assert tag_sets.accuracy([], lambda tag: ()).n == 0
