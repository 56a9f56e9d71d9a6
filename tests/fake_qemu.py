"""A small QEMU that speaks QMP and has memory, but runs no guest: for tests of what captures do with real ones."""

import contextlib
import ctypes
import json
import socket
import threading
from pathlib import Path
from typing import Any

PAGE = 4096


class FakeQemu:
    """Serves QMP at ``path``; its RAM is ``ram``, which lies in this process, and ``told`` are the commands it got.

    ``answers`` overrides answers by command: a value, or a function of the arguments; ``dies_at`` is the command at which
    it hangs up instead of answering. The RAM has a hole: its second half begins at ``high`` of the guest's addresses.
    """

    def __init__(self, path: Path, pages: int = 8, high: int | None = None, answers: dict[str, Any] | None = None, dies_at: str = ""):
        self.path, self.told, self.running = path, list[str](), True
        self.ram = ctypes.create_string_buffer(pages * PAGE)
        size = pages * PAGE
        half = size // 2 if high is not None else size
        self.ranges = [(0, half, 0)] + ([(high, size - half, half)] if high is not None else [])
        self._answers, self._dies_at = answers or {}, dies_at
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def write(self, page: int, content: bytes) -> None:
        """Put content at the start of a page of RAM, zeros after it."""
        ctypes.memmove(ctypes.addressof(self.ram) + page * PAGE, content.ljust(PAGE, b"\0"), PAGE)

    def __enter__(self) -> "FakeQemu":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client, client.makefile("rwb") as stream, contextlib.suppress(OSError, ValueError):
                self._talk(stream)

    def _talk(self, stream: Any) -> None:
        def say(what: dict[str, Any]) -> None:
            stream.write(json.dumps(what).encode() + b"\r\n")
            stream.flush()

        say({"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}, "capabilities": []}})
        for line in stream:
            asked = json.loads(line)
            command, arguments = asked["execute"], asked.get("arguments", {})
            if command in ("stop", "cont") and command != self._dies_at and command not in self._answers:
                self.running = command == "cont"
            self.told.append(command)  # after what it does, because tests that wait for it look at that next
            if command == self._dies_at:
                return
            say({"event": "NICE_DAY", "data": {}})
            try:
                say({"return": self._answer(command, arguments)})
            except LookupError as error:
                say({"error": {"class": "GenericError", "desc": str(error)}})

    def _answer(self, command: str, arguments: dict[str, Any]) -> Any:
        if command in self._answers:
            answer = self._answers[command]
            return answer(arguments) if callable(answer) else answer
        if command == "query-memdev":
            return [{"id": "pc.ram", "size": len(self.ram)}]
        if command == "query-name":
            return {"name": self.path.stem}
        if command == "query-status":
            return {"running": self.running}
        if command == "human-monitor-command":
            return self._for_people(arguments["command-line"])
        if command == "pmemsave":
            place = self._place(arguments["val"])
            Path(arguments["filename"]).write_bytes(self.ram[place : place + arguments["size"]])
        return {}

    def _place(self, address: int) -> int:
        for start, size, offset in self.ranges:
            if start <= address < start + size:
                return offset + address - start
        raise LookupError(f"no RAM at {address:#x}")

    def _for_people(self, line: str) -> str:
        if line == "info mtree -f":
            lines = ['FlatView #0\r\n AS "I/O", root: io\r\n  0000000000000000-0000000000000fff (prio 0, ram): pc.ram\r\n']
            lines += ['\r\nFlatView #1\r\n AS "memory", root: system\r\n Root memory region: system\r\n']
            for start, size, offset in self.ranges:
                at = f" @{offset:016x}" if offset else ""
                lines.append(f"  {start:016x}-{start + size - 1:016x} (prio 0, ram): pc.ram{at}\r\n")
            return "".join([*lines, "  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios\r\n"])
        if line.startswith("gpa2hva"):
            address = int(line.split()[1], 0)
            return f"Host virtual address for {address:#x} (pc.ram) is {ctypes.addressof(self.ram) + self._place(address):#x}\r\n"
        raise LookupError(f"unknown command {line}")
