"""The sandbox's clock, asked and set by several threads."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from crosstie.sandbox.clock import FIRST_INSTANT, SandboxClock
from crosstie.sandbox.database import Database


def test_a_transaction_can_ask_while_somebody_waits_to_set_it(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "org.db")) as database:
        clock = SandboxClock(database)
        clock.set(FIRST_INSTANT, frozen=True)
        asked = threading.Thread(target=clock.now, daemon=True)

        with database.writing():
            setting = threading.Thread(target=clock.advance, args=(timedelta(hours=1),), daemon=True)
            setting.start()
            setting.join(0.1)
            waited = setting.is_alive()
            asked.start()
            asked.join(10)
            answered = not asked.is_alive()
        setting.join()

        assert waited
        assert answered
        assert clock.now() == FIRST_INSTANT + timedelta(hours=1)
        assert SandboxClock(database).now() == clock.now()
