"""Parts of deploy/ray that want no cluster: the repository over a folder that Edgewise wrote, batches, wire formats."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy" / "ray"))

from edgewise_origin.errors import OriginError
from edgewise_origin.model import Job, Model
from edgewise_origin.oip import check_feeds, parse_request
from edgewise_origin.repository import FolderSource, Repository, source_of

rng = np.random.default_rng(9)


@pytest.fixture
def store(tmp_path) -> Path:
    return Path(shutil.copytree(os.environ["EDGEWISE_STORE"], tmp_path / "store"))


@pytest.fixture
def repository(store, tmp_path) -> Repository:
    return Repository(FolderSource(store), tmp_path / "cache")


def refusal(call) -> str:
    with pytest.raises(OriginError) as raised:
        call()
    return raised.value.code


class TestRepository:
    def test_reads_a_folder_of_the_fs_store(self, repository):
        assert repository.names() == ["ray/digits"]
        manifest = repository.resolve("ray/digits", None)
        assert (manifest.name, manifest.version, manifest.max_batch_size) == ("ray/digits", "1", 64)
        assert manifest.row_wise
        assert repository.resolve("ray/digits", "stable") == manifest
        assert refusal(lambda: repository.resolve("ray/digits", "2")) == "version_not_found"
        assert refusal(lambda: repository.resolve("nonesuch", None)) == "model_not_found"

    def test_reads_the_newest_generation_of_an_index_and_a_removal_as_one(self, store):
        (folder,) = (store / "state").iterdir()
        newest = max(entry.name for entry in folder.iterdir())
        index = FolderSource(store).index("ray/digits")
        (folder / str(int(newest) + 1).zfill(15)).write_text("\0deleted", "utf-8")
        assert index["name"] == "ray/digits"
        assert FolderSource(store).index("ray/digits") is None

    def test_finds_a_model_whose_name_has_upper_case_letters(self, store):
        # src/storage/fs-keys.ts puts the case of the letters behind the name, in lower case.
        state = store / "state"
        shutil.copytree(state / "models%2Fray%2Fdigits.json", state / "models%2Fray%2Fchain.json~004")
        source = FolderSource(store)
        assert "ray/Chain" in source.names()
        assert source.index("ray/Chain") == source.index("ray/digits")
        assert source.index("ray/chain") is None

    def test_answers_with_the_last_index_while_the_source_is_away(self, repository, store, monkeypatch):
        before = repository.resolve("ray/digits", "1")

        def away(name):
            raise OSError("away")

        monkeypatch.setattr(repository.source, "index", away)
        monkeypatch.setattr("edgewise_origin.repository.INDEX_MAX_AGE_SECONDS", 0)
        assert repository.resolve("ray/digits", "1") == before
        assert refusal(lambda: repository.resolve("other", "1")) == "model_not_ready"

    def test_refuses_bytes_that_are_not_what_was_published(self, repository, store):
        manifest = repository.resolve("ray/digits", "1")
        blob = store / "blobs" / "sha256" / manifest.chunks[0].digest.removeprefix("sha256:")
        data = bytearray(blob.read_bytes())
        data[7] ^= 1
        blob.write_bytes(data)
        assert refusal(lambda: repository.folder(manifest)) == "digest_mismatch"
        blob.unlink()
        assert refusal(lambda: repository.folder(manifest)) == "model_not_ready"
        assert list(repository.cache.iterdir()) == []

    def test_fetches_again_what_was_damaged_in_the_cache(self, repository):
        manifest = repository.resolve("ray/digits", "1")
        weights = repository.folder(manifest) / manifest.weights_file
        right = weights.read_bytes()
        weights.write_bytes(right[:-1])
        assert (repository.folder(manifest) / manifest.weights_file).read_bytes() == right

    def test_says_what_is_wrong_with_its_place(self, tmp_path):
        with pytest.raises(ValueError, match="has no folder state/"):
            source_of(str(tmp_path), "")
        with pytest.raises(ValueError, match="EDGEWISE_ADMIN_KEY"):
            source_of("https://models.example.com", "")


class Transposing:
    """A session whose output has no row for each row: its first dimension is the width of the input."""

    def __init__(self):
        self.rows = []

    def run(self, outputs, feeds):
        self.rows.append(len(feeds["x"]))
        return [feeds["x"].T]


class TestModel:
    @pytest.fixture
    def model(self, repository) -> Model:
        return Model(repository, repository.resolve("ray/digits", None), ["CPUExecutionProvider"], 1)

    def test_gives_each_request_of_a_batch_its_own_rows(self, model):
        jobs = [Job({"image": rng.random((n, 1, 28, 28), np.float32)}, ["probabilities"]) for n in (1, 40, 3, 30, 64, 2)]
        for job, outcome in zip(jobs, model.run_all(jobs), strict=True):
            np.testing.assert_allclose(outcome["probabilities"], model.run(job)["probabilities"], rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(("row_wise", "width", "runs"), [(False, 2, [1, 1]), (True, 3, [2, 1, 1])])
    def test_never_answers_rows_of_one_request_to_another(self, model, row_wise, width, runs):
        model.session, model.row_wise = Transposing(), row_wise
        jobs = [Job({"x": np.full((1, width), number, np.float32)}, ["y"]) for number in (1, 2)]
        for job, outcome in zip(jobs, model.run_all(jobs), strict=True):
            np.testing.assert_array_equal(outcome["y"], job.feeds["x"].T)
        assert model.session.rows == runs
        assert not model.row_wise

    def test_fails_only_the_request_that_is_wrong(self, model):
        right = Job({"image": rng.random((1, 1, 28, 28), np.float32)}, ["probabilities"])
        wrong = Job({"image": rng.random((1, 1, 28, 28), np.float32)}, ["nonesuch"])
        outcomes = model.run_all([right, wrong, right])
        assert [isinstance(outcome, OriginError) for outcome in outcomes] == [False, True, False]

    def test_wants_one_batch_size_within_the_models(self, repository):
        manifest = repository.resolve("ray/digits", None)
        for rows in (0, 65):
            feeds = {"image": np.zeros((rows, 1, 28, 28), np.float32)}
            assert refusal(lambda feeds=feeds: check_feeds(manifest, feeds)) == "shape_mismatch"


class TestParseRequest:
    @pytest.mark.parametrize(
        ("body", "length"),
        [
            (b"{", None),
            (b"[]", None),
            (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":["1"]}]}', None),
            (b'{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[128]}]}', None),
            (b'{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[1.5]}]}', None),
            (b'{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":[1]}]}', None),
            (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[-1],"data":[]}]}', None),
            (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[2],"data":[[1],[2,3]]}]}', None),
            (b"{}", "3"),
            (b"{}", "-1"),
        ],
    )
    def test_refuses_what_is_malformed(self, body, length):
        assert refusal(lambda: parse_request(body, length)) == "invalid_request"

    def test_reads_whole_numbers_of_every_size_exactly(self):
        body = b'{"inputs":[{"name":"x","datatype":"UINT64","shape":[2],"data":[18446744073709551615,9007199254740993]}]}'
        assert parse_request(body, None).feeds["x"].tolist() == [2**64 - 1, 2**53 + 1]
