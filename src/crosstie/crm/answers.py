"""The answers to a shipment: one for each of its rows, whatever the CRM said and however much of it came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from crosstie.crm.outgoing import Refusal
from crosstie.crm.writing import Effect, Outcome, Sent, answer_columns
from crosstie.errors import ConnectorError

if TYPE_CHECKING:
    import pyarrow as pa

CONFLICT = "CONFLICT"
"""The symbol of a row that is not sent again, because another has changed its record meanwhile."""

_MESSAGE_CHARACTERS = 1_000


class RowAnswers:
    """The answers to rows by place, in doubt until something is said of them; rows that are not sent are rejected from
    the beginning. `rows` are our numbers, `remote_ids` the records that they are about, None where nobody knows."""

    def __init__(
        self, rows: Sequence[int], remote_ids: Sequence[str | None], refused: Mapping[int, Refusal] | None = None
    ) -> None:
        count = len(rows)
        self._rows = rows
        self._outcomes: list[Outcome] = [Outcome.DOUBT] * count
        self._effects: list[Effect | None] = [None] * count
        self._ids: list[str | None] = list(remote_ids)
        self._symbols: list[str | None] = [None] * count
        self._messages: list[str | None] = [None] * count
        self._fields: list[str | None] = [None] * count
        self._words: list[str | None] = [None] * count
        self._log_files: list[str | None] = [None] * count
        for place, refusal in (refused or {}).items():
            self.set(place, Outcome.REJECTED, refusal.symbol, refusal.message, refusal.fields)

    def accept(self, place: int, effect: Effect, remote_id: str | None = None) -> None:
        """A row that was executed."""
        self.set(place, Outcome.ACCEPTED)
        self._effects[place] = effect
        self._ids[place] = remote_id or self._ids[place]

    def set(
        self,
        place: int,
        outcome: Outcome,
        symbol: str = "",
        message: str = "",
        fields: str = "",
        *,
        word: str = "",
        log_file: str = "",
    ) -> None:
        """A row that was not, or of which nothing is known."""
        self._outcomes[place] = outcome
        self._effects[place] = None
        self._symbols[place] = symbol or None
        self._messages[place] = message[:_MESSAGE_CHARACTERS] or None
        self._fields[place] = fields or None
        self._words[place] = word or None
        self._log_files[place] = log_file or None

    def whole(self, places: Iterable[int], outcome: Outcome, failure: ConnectorError) -> None:
        """What the failure of a whole call makes of its rows."""
        for place in places:
            self.set(place, outcome, failure.code, failure.message)

    def sent(self, failure: ConnectorError | None = None, parts: Iterable[Sequence[int]] = ()) -> Sent:
        """All of it as the journal takes it; `parts` are places."""
        numbers = tuple(tuple(self._rows[place] for place in part) for part in parts)
        return Sent(answers=self.batch(), failure=failure, parts=numbers)

    def batch(self) -> pa.RecordBatch:
        """The answers in the order of the rows."""
        import pyarrow as pa

        said = (self._symbols, self._messages, self._fields, self._words, self._log_files)
        texts = (self._outcomes, self._effects, self._ids, *said)
        columns = [pa.array([None if one is None else str(one) for one in column], pa.string()) for column in texts]
        return pa.RecordBatch.from_arrays([pa.array(self._rows, pa.int64()), *columns], schema=answer_columns())
