"""The Dynamics organization of a state directory with its token authority, opened for the service."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crosstie.sandbox.control import Control
from crosstie.sandbox.crm import Front
from crosstie.sandbox.database import Database
from crosstie.sandbox.dynamics.authority import Authority
from crosstie.sandbox.dynamics.control import dynamics_actions
from crosstie.sandbox.dynamics.credentials import TENANT_ID, load_certificate, load_credentials, ways_to_sign_in
from crosstie.sandbox.dynamics.dispatch import Dynamics
from crosstie.sandbox.dynamics.errors import STATUS_ERRORS, ApiError
from crosstie.sandbox.dynamics.org import Org
from crosstie.sandbox.dynamics.tokens import Tokens
from crosstie.sandbox.http import Response

HEAD_BYTES = 49_152
"""A URL of 32,768 characters is allowed, and headers beside it."""


class DynamicsService:
    """One organization and its authority, each on a port of its own: a token must never go to the wrong one."""

    def __init__(self, state_dir: Path, records: int) -> None:
        self._org = Org(state_dir, records=records)
        self._credentials = load_credentials(self._org.database)
        self._certificate = load_certificate(state_dir)
        tokens = Tokens(self._org.database)
        self._dynamics = Dynamics(self._org, tokens)
        self._authority = Authority(self._org, tokens, self._credentials, self._certificate)

    @property
    def database(self) -> Database:
        """Where the state is."""
        return self._org.database

    @property
    def fronts(self) -> Mapping[str, Front]:
        """The organization, and the authority."""
        return {
            "port": Front(handle=self._dynamics.handle, head_bytes=HEAD_BYTES),
            "authority_port": Front(handle=self._authority.handle),
        }

    def control(self, set_latency: Callable[[float], None]) -> Control:
        """The control endpoint, on the organization's port."""
        return Control(self._org, set_latency, dynamics_actions(self._dynamics), (ApiError,))

    def failure(self) -> Response:
        """500 as the real one words it."""
        return ApiError(500, *STATUS_ERRORS[500]).response()

    def served(self, urls: Mapping[str, str]) -> dict[str, Any]:
        """Addresses, the tenant, and the credentials of each way to sign in."""
        self._org.url = urls["port"]
        self._authority.url = self._dynamics.authority_url = urls["authority_port"]
        return {
            "url": urls["port"],
            "authority": urls["authority_port"],
            "tenant": TENANT_ID,
            "sign_in": ways_to_sign_in(self._credentials, self._certificate),
        }

    def close(self) -> None:
        """Closes the state."""
        self._org.close()
