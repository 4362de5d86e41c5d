"""The Oracle CRM On Demand company of a state directory, opened for the service."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crosstie.sandbox.control import Control
from crosstie.sandbox.crm import Front
from crosstie.sandbox.database import Database
from crosstie.sandbox.http import Response
from crosstie.sandbox.oracle_on_demand.control import on_demand_actions
from crosstie.sandbox.oracle_on_demand.dispatch import OnDemand
from crosstie.sandbox.oracle_on_demand.faults import SoapFault, refused
from crosstie.sandbox.oracle_on_demand.org import Org


class OracleOnDemandService:
    """One company on one port."""

    def __init__(self, state_dir: Path, records: int) -> None:
        self._org = Org(state_dir, records=records)
        self._company = OnDemand(self._org)

    @property
    def database(self) -> Database:
        """Where the state is."""
        return self._org.database

    @property
    def fronts(self) -> Mapping[str, Front]:
        """The company's endpoint."""
        return {"port": Front(handle=self._company.handle)}

    def control(self, set_latency: Callable[[float], None]) -> Control:
        """The control endpoint, on the same port."""
        return Control(self._org, set_latency, on_demand_actions(self._company), (SoapFault,))

    def failure(self) -> Response:
        """A fault of the front end."""
        return refused(500, None, None).response(self._org.switches)

    def served(self, urls: Mapping[str, str]) -> dict[str, Any]:
        """The address, the credentials, the user's time zone and the versions."""
        self._org.url = urls["port"]
        return {
            "url": urls["port"],
            **self._company.sign_in.told(),
            "time_zone": self._org.switches.time_zone,
            "versions": ["v1.0", "v2.0"],
        }

    def close(self) -> None:
        """Closes the state."""
        self._org.close()
