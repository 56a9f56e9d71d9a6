"""Where a trace file lies: a path of this machine, or a URL.

``s3://`` goes through Arrow's own S3 client, with what the environment says of credentials (``AWS_ACCESS_KEY_ID``, …, or a
profile, or the machine's role), region (``AWS_REGION``) and, for other stores than Amazon's, endpoint
(``AWS_ENDPOINT_URL``). Any other URL goes through fsspec (the extra ``tracekit[url]``).
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from tracekit.errors import TraceError, first_line

#: Seconds to wait for a connection and for an answer, and attempts: a store that is not there is to be said soon.
_CONNECT, _REQUEST, _ATTEMPTS = 5, 60, 3


@dataclass(frozen=True)
class Url:
    """A file at a URL, as far as readers of traces would use a ``pathlib.Path``."""

    text: str

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return urlsplit(self.text).path.rpartition("/")[2]

    def __str__(self) -> str:
        return self.text


Place = Path | Url


def place(where: "str | os.PathLike[str] | Url") -> Place:
    """The place that a text names: what has ``://`` in it is a URL."""
    if isinstance(where, Url):
        return where
    return Url(where) if isinstance(where, str) and "://" in where else Path(where)


def source(where: Place) -> Any:
    """What Arrow can read the file at a place from. Raises TraceError if a URL does not lead to one."""
    if isinstance(where, Path):
        return where
    try:
        filesystem, path = _filesystem(where.text)
        return filesystem.open_input_file(path)
    except FileNotFoundError:
        raise TraceError(f"{where}: no such file") from None
    except ImportError as error:
        raise TraceError(f"{where}: takes a package that is not installed ({error}); install it, and tracekit[url]") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TraceError(f"{where}: cannot be reached ({first_line(error)})") from None


def _filesystem(url: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URL, and the file's path there."""
    if url.startswith("s3://"):
        return _s3(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")), url.removeprefix("s3://")
    from fsspec.core import url_to_fs

    filesystem, path = url_to_fs(url)
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path


@cache
def _s3(endpoint: str | None) -> fs.FileSystem:
    retries = fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS)
    return fs.S3FileSystem(endpoint_override=endpoint, connect_timeout=_CONNECT, request_timeout=_REQUEST, retry_strategy=retries)
