"""Traces at URLs: as those of paths, from an S3 store (moto's) and through fsspec; a store that is not there is one sentence."""

import numpy as np
import polars as pl
import pytest
from make_trace import write
from run_cli import run
from sweep_cells import Here, kept, write_traces

import tracekit as tk
from tracekit.fleet.dedup import dedup
from tracekit.location import Url, place
from tracekit.trace import open_trace

OPTIONS = ("--preset", "paging", "--set", "paging.frames=10,20")


@pytest.fixture(scope="module")
def store():
    """An S3 store in this process: the address of a bucket, and a client that puts files into it."""
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "REGION": "us-east-1"}.items():
            environment.setenv(f"AWS_{name}", value)
        environment.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        client = boto3.client("s3", endpoint_url="http://{}:{}".format(*server.get_host_and_port()))
        client.create_bucket(Bucket="traces")
        yield lambda path: client.upload_file(str(path), "traces", path.name) or f"s3://traces/{path.name}"
    server.stop()


def test_places():
    assert place("s3://a/b/c.parquet") == Url("s3://a/b/c.parquet")
    assert (place("s3://a/b/c.parquet").name, str(place("s3://a/b"))) == ("c.parquet", "s3://a/b")
    assert place("a/b.parquet").name == "b.parquet"


def test_replays_and_sweeps_of_an_s3_store_are_those_of_paths(store, tmp_path):
    traces = write_traces(tmp_path, 2)
    urls = [store(path) for path in traces]
    assert open_trace(urls[0]).digest == open_trace(traces[0]).digest
    assert run("replay", *traces, *OPTIONS, "-o", tmp_path / "paths").code == 0
    assert run("replay", *urls, *OPTIONS, "-o", tmp_path / "urls").code == 0
    done = run("sweep", *urls, *OPTIONS, "-o", tmp_path / "sweep", "--jobs", 1)
    assert done.code == 0, done.err
    assert kept(tmp_path / "urls") == kept(tmp_path / "sweep") == kept(tmp_path / "paths")
    assert run("check", *urls).code == 0
    contents = write(tmp_path / "c.content.parquet", "content", 9, {"a": 9}, "c", ppn=range(9), digest=[1, 1, 2, 3, 4, 5, 6, 6, 6])
    counted = [dedup([where], pool=Here(), folder=tmp_path / f"{i}") for i, where in enumerate((store(contents), contents))]
    assert counted[0]["sharing"].equals(counted[1]["sharing"])


def test_other_urls_go_through_fsspec(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    (path,) = write_traces(tmp_path, 1)
    fsspec.filesystem("memory").pipe("/there/t0.access.parquet", path.read_bytes())
    by_url = tk.replay("memory://there/t0.access.parquet", preset="paging").faults.collect()
    assert by_url.equals(tk.replay(path, preset="paging").faults.collect())
    assert isinstance(by_url, pl.DataFrame)


def test_a_url_that_leads_nowhere_is_one_sentence(store, tmp_path, monkeypatch):
    for command in (("replay",), ("sweep", "-o", tmp_path / "out")):
        for url, said in (
            ("s3://traces/none.access.parquet", "no such file"),
            ("s3://nobucket/none.access.parquet", "no such file"),
            ("nothing://x/y.parquet", "cannot be reached"),
            ("memory://none.access.parquet", "no such file"),
        ):
            done = run(command[0], url, *command[1:], *OPTIONS)
            assert (done.code, done.err.count("\n")) == (3, 1), done.err
            assert f"{url}: {said}" in done.err
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done = run("replay", "s3://traces/none.access.parquet", *OPTIONS)
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "cannot be reached" in done.err


def test_a_damaged_file_at_a_url(store, tmp_path):
    whole = write(tmp_path / "cut.access.parquet", "access", 20, capture="cut", ppn=np.arange(20) % 16)
    whole.write_bytes(whole.read_bytes()[:-9])
    done = run("replay", store(whole), *OPTIONS)
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "not a readable Parquet file" in done.err
