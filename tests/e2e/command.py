"""One command line of the product, in a process that has imported it already."""

from __future__ import annotations

import faulthandler
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstie.cli import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A command to run. Standard input, output and error are files; `most_file_bytes` bounds each file that it writes,
    0 leaves them alone."""

    arguments: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    streams: Sequence[str]
    most_file_bytes: int = 0


def carry_out(given: Mapping[str, Any]) -> int:
    """Runs the command of an `Order` as `python -m crosstie` does, to the end of the interpreter."""
    order = Order(**given)
    for number, (path, mode) in enumerate(zip(order.streams, ("r", "w", "w"), strict=True)):
        with Path(path).open(mode) as file:
            os.dup2(file.fileno(), number)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, closefd=False)
    faulthandler.enable()
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    if order.most_file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.most_file_bytes, order.most_file_bytes))
    sys.argv = ["crosstie", *order.arguments]
    main()
    return 0
