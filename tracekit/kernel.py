"""Compiled kernels: the decorators, and drivers instantiated from source so that they stay cached across processes.

A kernel that takes a policy's functions as arguments is recompiled in every process. So a driver is *instantiated*:
its source, with the policy's functions imported by name, is written to a file in the cache and imported from there.
numba then caches it like any other function. The file's name is a digest of everything that it can reach, because
numba itself notices a change in the driver only, not in what the driver calls.

With ``NUMBA_DISABLE_JIT=1`` the very same files run as plain Python.
"""

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numba
import numpy as np
import xxhash

F = TypeVar("F", bound=Callable[..., Any])

# _nrt=False leaves out reference counting of arrays, which a hook called per event cannot afford; such functions
# cannot allocate, which is the rule for kernels anyway. It is private to numba: benchmarks/plugin_form.py guards it.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False, "_nrt": False}
#: Python never calls a hook, and what it would take to call one is a third of the time that a driver takes to compile.
_INNER: dict[str, Any] = _OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def jit(function: F) -> F:
    """A hook: inlined into the kernels that call it, and called by nobody else. It must not allocate or recurse."""
    return _inner(numba.njit(forceinline=True, **_INNER)(function))


def rare(function: F) -> F:
    """A function that hooks call once in a while: compiled on its own, so that they stay small. It must not allocate."""
    return _inner(numba.njit(**_INNER)(function))


def callable_jit(function: F) -> F:
    """A hook that Python may call as well."""
    return numba.njit(forceinline=True, **_OPTIONS)(function)  # pyright: ignore[reportReturnType]


def _inner(dispatcher: Any) -> Any:
    """Have a function without wrappers refuse to be called from Python, which would end the process."""
    if is_compiled():
        dispatcher._insert = lambda *_, **__: None
        dispatcher._compile_for_args = _refuse
    return dispatcher


def _refuse(*_: object, **__: object) -> None:
    raise TypeError("kernels alone call functions made with @jit; make one with @entry around it, or call its py_func")


def entry(function: F) -> F:
    """A kernel that Python calls, cached on disk. It releases the GIL and must not allocate."""
    return numba.njit(cache=_can_cache(function), **_OPTIONS)(function)  # pyright: ignore[reportReturnType]


def is_compiled() -> bool:
    """Whether kernels are compiled (False under NUMBA_DISABLE_JIT=1)."""
    return not numba.config.DISABLE_JIT  # pyright: ignore[reportPrivateImportUsage, reportAttributeAccessIssue]


def template_body(source: Path) -> str:
    """The text of a template without its ``# bind`` … ``# end bind`` lines, whose names the caller binds."""
    head, _, rest = source.read_text().partition("# bind\n")
    _, found, body = rest.partition("# end bind\n")
    if not found:
        raise ValueError(f"{source} has no '# bind' … '# end bind' lines")
    return head + body


def instantiate(source: str, reaches: Iterable[type]) -> ModuleType:
    """Import ``source`` as a module whose ``entry`` functions are cached on disk under a digest of all they reach.

    ``reaches`` are the classes whose functions the source imports; their packages' sources enter the digest.
    """
    parts = [source, _own_digest(), sys.version, numba.__version__, np.__version__]
    parts += sorted({_package_digest(cls) for cls in reaches})
    name = "k" + xxhash.xxh3_128_hexdigest("\0".join(parts).encode())
    qualified = f"tracekit._kernels.{name}"
    if qualified in sys.modules:
        return sys.modules[qualified]
    path = cache_folder() / f"{name}.py"
    if not path.exists():
        write_atomically(path, source.encode())
    spec = importlib.util.spec_from_file_location(qualified, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[qualified] = module
    spec.loader.exec_module(module)
    return module


def is_cold(module: ModuleType) -> bool:
    """Whether an instantiated module has not been compiled on this machine before."""
    assert module.__file__ is not None
    name = Path(module.__file__).stem
    return is_compiled() and not any((Path(module.__file__).parent / "__pycache__").glob(f"{name}.*.nbi"))


@cache
def cache_folder() -> Path:
    """Where instantiated kernels live: ``TRACEKIT_CACHE``, else the user's cache folder, else a temporary one."""
    base = os.environ.get("TRACEKIT_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tracekit")
    folder = Path(base) / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="tracekit-kernels-"))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all, whoever else writes it at the same time."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
    os.replace(temporary, path)


def _can_cache(function: Callable[..., Any]) -> bool:
    """numba refuses to cache what has no source file of its own, such as a function made in a prompt."""
    return os.path.exists(function.__code__.co_filename)


#: What of tracekit itself the templates and built-in policies can reach.
_REACHED = ("future.py", "host.py", "kernel.py", "prefetch.py", "rng.py", "stream.py", "units.py", "modules")


@cache
def _own_digest() -> str:
    here = Path(__file__).parent
    return "".join(_tree_digest(here / name) if (here / name).is_dir() else _file_digest(here / name) for name in _REACHED)


def _package_digest(cls: type) -> str:
    module = sys.modules[cls.__module__]
    file = getattr(module, "__file__", None)
    if file is None:
        raise ValueError(f"{cls.__module__}.{cls.__qualname__} must stand in a file: kernels import it by name")
    package = sys.modules[cls.__module__.partition(".")[0]]
    if package is sys.modules.get("tracekit"):
        return _own_digest()
    folder = getattr(package, "__path__", None)
    return _tree_digest(Path(next(iter(folder)))) if folder else _file_digest(Path(file))


@cache
def _tree_digest(folder: Path) -> str:
    return xxhash.xxh3_64_hexdigest("".join(_file_digest(path) for path in sorted(folder.rglob("*.py"))).encode())


def _file_digest(path: Path) -> str:
    return xxhash.xxh3_64_hexdigest(path.read_bytes())
