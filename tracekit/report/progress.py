"""Progress of a replay on stderr, on a terminal only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A function (what, rows done, rows in all) that shows a bar; without a total, what is going on."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what, done, total: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("opening", total=None, rate="")

        def report(what: str, done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed / 1e6:.1f} M rows/s" if speed and total else ""
            bar.update(task, description=what, completed=done, total=total or None, rate=rate)

        yield report
