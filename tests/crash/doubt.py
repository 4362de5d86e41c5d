"""Inserts of which nobody can say whether they were executed: at most once in the org, and the journal names exactly
those whose shipment had left without an answer that was read. A person looks, and says how it is."""

from __future__ import annotations

from crosstie.app import App
from tests.crash.conductor import Passage
from tests.crash.sent import underway
from tests.crash.settled import difference, standing
from tests.crash.stage import LATER, Stage

_ALIKE = ("org", "contacts", "people: recipient", "options")
"""What is as after uninterrupted runs when a person has settled what was in doubt."""
_SHOWN = 100
"""So many keys of rows in doubt the journal shows; its export has all."""


class DoubtfulStage(Stage):
    """Where the points of a path are played after which rows may be in doubt."""

    def _recover(self, database: str, killed: Passage) -> list[str]:
        stood = standing(database)
        over = stood.run == self._next_run and stood.done
        sent = underway(database)
        there = self._there(database)
        told = [f"row {key} is answered, and not there" for key in sorted(sent.answered - there.keys())]
        told += [f"row {key} has not left, and is there" for key in sorted(sent.here & there.keys())]
        resumed = self._passage(database)
        told += self._failure(resumed)
        if told:
            return told
        doubtful = sent.doubtful if over else underway(database).doubtful
        if doubtful != sent.left:
            told.append(f"in doubt are {sorted(doubtful)}, but {sorted(sent.left)} had left")
        told += self._settle(database, sent.run, sorted(sent.left))
        self._at(self._start + LATER)
        more = self._passage(database)
        told += [f"one more run: {one}" for one in self._failure(more)]
        found, expected = self._settled(database), self._references[False].again
        return told + [
            f"{name}: {difference(expected.facts[name], found.facts[name])}"
            for name in _ALIKE
            if found.facts[name] != expected.facts[name]
        ]

    def _there(self, database: str) -> dict[str, str]:
        """The records by the key of their row, which the org knows by its name."""
        ids = {str(one[0]): record_id for record_id, one in self._org.ours().items()}
        rows = self._rows(database, "select id, last_name from recipient")
        return {str(key): ids[name] for key, name in rows if name in ids}

    def _settle(self, database: str, run: int, doubtful: list[str]) -> list[str]:
        """What a person does: looks into the org, and says what was executed. What the journal shows."""
        if not doubtful:
            return []
        there = self._there(database)
        executed = {key: there[key] for key in doubtful if key in there}
        with App.open(self._folder, database=database) as app:
            shown = {key for report in app.journal.show(run) for key in report.in_doubt}
            settled = app.journal.settle(run, [key for key in doubtful if key not in executed], executed)
        for key, record_id in executed.items():
            self._sql(database, f"update recipient set crm_id = '{record_id}' where id = {key}")
        told = [] if settled == len(doubtful) else [f"{settled} of {len(doubtful)} rows were settled"]
        exactly = shown <= set(doubtful) and len(shown) == min(len(doubtful), _SHOWN)
        return told if exactly else [*told, f"the journal shows {sorted(shown)}"]
