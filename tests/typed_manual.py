"""Types what a manual tells people to type: its fenced blocks, in order, for real.

`pehra ...` runs in this process and is answered as a person answers; `pehra fleet run` and `broker-run`
become processes; `export` holds for what comes after it; anything else is bash's.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from typer.testing import CliRunner

from pehra.cli import app
from pehra.demo.processes import Child, start

ANSWERS = 40
"""So many questions of one command are answered with the same secret."""
FOREGROUND = ("pehra fleet run", "pehra fleet broker-run")
_FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        chapter: its heading of the second order.
        lines: as they stand there.
    """

    chapter: str
    lines: tuple[str, ...]


def blocks_of(document: Path) -> list[Block]:
    """Every fenced block of a document below a heading of the second order, in order."""
    blocks = []
    for part in document.read_text().split("\n## ")[1:]:
        chapter, _, text = part.partition("\n")
        blocks += [Block(chapter, tuple(found.splitlines())) for found in _FENCE.findall(text)]
    return blocks


@dataclass
class Typist:
    """Whoever sits at the machine.

    Attributes:
        folder: where relative paths begin.
        instead: what is typed instead of what stands there.
        secret: the answer to whatever is asked.
        people: who types the lines that begin so.
        is_up: waits for a program that was started.
        said: every line that was typed, with what was answered.
    """

    folder: Path
    instead: Mapping[str, str]
    secret: str
    people: Mapping[str, str]
    is_up: Callable[[Child], None]
    environment: dict[str, str] = field(default_factory=dict)
    programs: list[Child] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def type(self, line: str, also: Mapping[str, str] | None = None, code: int = 0, by: str = "") -> str:
        """Type a line of the document; return what was answered.

        Args:
            line: as it stands there.
            also: more that is typed instead, this time.
            code: with which it must end.
            by: who types it; empty for who usually does.
        """
        began_s = time.monotonic()
        for word, other in {**self.instead, **(also or {})}.items():
            line = line.replace(word, other)
        answer = self._answer(line, code, by)
        self.said.append(f"$ {line}   [{time.monotonic() - began_s:.1f} s]\n{answer}")
        return answer

    def _answer(self, line: str, code: int, by: str) -> str:
        words = shlex.split(line, comments=True)
        if words[0] == "export":
            self.environment |= dict([words[1].split("=", 1)])
            return ""
        if line.startswith(FOREGROUND):
            child = start(words[2], words, self.folder, self.environment)
            self.programs.append(child)
            self.is_up(child)
            return ""
        return self._pehra(line, words, code, by) if words[0] == "pehra" else self._bash(line)

    def _pehra(self, line: str, words: list[str], code: int, by: str) -> str:
        person = by or next(name for begin, name in self.people.items() if line.startswith(begin))
        environment = self.environment | {"SUDO_USER": person, "COLUMNS": "200"}
        done = CliRunner().invoke(app, words[1:], input=f"{self.secret}\n" * ANSWERS, env=environment)
        assert done.exit_code == code, f"{line}\n{done.output}\n{done.exception!r}"
        return done.output

    def _bash(self, line: str) -> str:
        command = ["bash", "-euc", line]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        return done.stdout
