"""Speaks to CRMs. `CONNECTORS` is the list of kinds; nothing of a kind is imported before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from crosstie.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crosstie.crm.connector import Connector
    from crosstie.model import RemoteObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of CRM: `settings` and `connector` are `module:class` of its account model and of its connector.

    `reject_columns` are the columns that explain a refused row, as Campaign names them for this CRM. `page_rows` and
    `bulk_page_rows` are how many records of few fields one call brings, `bulk_calls` what a bulk read costs beside its
    pages (0: there is none): to say beforehand what a read will cost. `complete_id` is `module:function` of what makes
    a remote id as the CRM answers it of one as people have it, `tells_deletions` of what says whether the deletions of
    a described object can be read. `tracks_changes`: the CRM tells changes of some objects by tokens.
    `typed_paths`: a path over a link to several objects may say to which, like `account:parentcustomerid.name`.
    `assigned` are the objects that have assignment rules. `labels`: values can be read as people see them, like
    `statuscode@label`."""

    label: str
    settings: str
    connector: str
    reject_columns: tuple[str, ...]
    page_rows: int
    bulk_page_rows: int
    bulk_calls: int
    complete_id: str
    tells_deletions: str
    tracks_changes: bool = False
    typed_paths: bool = False
    labels: bool = False
    assigned: tuple[str, ...] = ()

    def settings_model(self) -> Any:
        """The pydantic model of an account of this kind; its fields are what a person is asked for."""
        return _load(self.settings)

    def id_completer(self) -> Callable[[str], str | None]:
        """Completes a remote id; gives None for a text that is none."""
        return cast("Callable[[str], str | None]", _load(self.complete_id))

    def keeps_deletions(self, remote: RemoteObject) -> bool:
        """Whether the CRM tells for a while which records of an object were deleted."""
        return bool(_load(self.tells_deletions)(remote))

    @property
    def reads_by_bulk(self) -> bool:
        """Whether the CRM has an interface for large reads beside its query pages."""
        return self.bulk_calls > 0

    def expected_calls(self, rows: int, *, bulk: bool) -> int:
        """About how many API calls a read of so many records takes."""
        if bulk:
            return self.bulk_calls + -(-rows // self.bulk_page_rows)
        return max(1, -(-rows // self.page_rows))

    def open(
        self, settings: Any, *, account: str, org_id: str, token: str, on_token: Callable[[str], None]
    ) -> Connector:
        """A connector that signs in when it is first used. `token` is what an earlier `on_token` was given, or '';
        `org_id` the org that the account belongs to, or '' before its first check: another one is refused."""
        return cast(
            "Connector", _load(self.connector)(settings, account=account, org_id=org_id, token=token, on_token=on_token)
        )


CONNECTORS: dict[str, Kind] = {
    "salesforce": Kind(
        label="Salesforce",
        settings="crosstie.crm.salesforce.settings:SalesforceSettings",
        connector="crosstie.crm.salesforce.connector:SalesforceConnector",
        reject_columns=("errorSymbol", "errorMessage"),
        page_rows=2_000,
        bulk_page_rows=50_000,
        bulk_calls=4,
        complete_id="crosstie.crm.salesforce.ids:complete_id",
        tells_deletions="crosstie.crm.salesforce.deletions:tells_deletions",
        assigned=("Lead", "Case"),
    ),
    "dynamics": Kind(
        label="Microsoft Dynamics 365",
        settings="crosstie.crm.dynamics.settings:DynamicsSettings",
        connector="crosstie.crm.dynamics.connector:DynamicsConnector",
        reject_columns=("errorCode", "errorMessage"),
        page_rows=5_000,
        bulk_page_rows=5_000,
        bulk_calls=0,
        complete_id="crosstie.crm.dynamics.ids:complete_id",
        tells_deletions="crosstie.crm.dynamics.deletions:tells_deletions",
        tracks_changes=True,
        typed_paths=True,
        labels=True,
    ),
    "oracle_on_demand": Kind(
        label="Oracle CRM On Demand",
        settings="crosstie.crm.oracle_on_demand.settings:OracleOnDemandSettings",
        connector="crosstie.crm.oracle_on_demand.connector:OracleOnDemandConnector",
        reject_columns=("errorLogFilename", "errorCode", "errorSymbol", "errorMessage"),
        page_rows=100,
        bulk_page_rows=100,
        bulk_calls=0,
        complete_id="crosstie.crm.oracle_on_demand.ids:complete_id",
        tells_deletions="crosstie.crm.oracle_on_demand.deletions:tells_deletions",
    ),
}


def kind_of(name: str) -> Kind:
    """The kind of that name. Raises ConfigError, naming those there are."""
    if name not in CONNECTORS:
        raise ConfigError(f"“{name}” is not a kind of CRM.", hint=f"There are: {', '.join(CONNECTORS)}.")
    return CONNECTORS[name]


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
