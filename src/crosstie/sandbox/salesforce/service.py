"""The Salesforce org of a state directory, opened for the service."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crosstie.sandbox.control import Control
from crosstie.sandbox.crm import Front
from crosstie.sandbox.database import Database
from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce.control import salesforce_actions
from crosstie.sandbox.salesforce.dispatch import Salesforce
from crosstie.sandbox.salesforce.errors import STATUS_ERRORS, ApiError
from crosstie.sandbox.salesforce.org import Org
from crosstie.sandbox.salesforce.sessions import Credentials, Sessions, load_credentials, public_key_pem
from crosstie.sandbox.salesforce.soap import LAST_LOGIN_VERSION


class SalesforceService:
    """One Salesforce org with its sign-in, on one port."""

    def __init__(self, state_dir: Path, records: int) -> None:
        self._org = Org(state_dir, records=records)
        self._key_file = state_dir / "jwt_key.pem"
        self._credentials = load_credentials(self._org.database, self._key_file)
        sessions = Sessions(self._org.database)
        if sessions.find(self._credentials.file_token, float("inf")) is None:
            sessions.open("file", token=self._credentials.file_token)
        self._salesforce = Salesforce(self._org, sessions, self._credentials, public_key_pem(self._key_file))

    @property
    def database(self) -> Database:
        """Where the state is."""
        return self._org.database

    @property
    def fronts(self) -> Mapping[str, Front]:
        """The org; its sign-in is there too."""
        return {"port": Front(handle=self._salesforce.handle)}

    def control(self, set_latency: Callable[[float], None]) -> Control:
        """The org's control endpoint."""
        return Control(self._org, set_latency, salesforce_actions(self._salesforce), (ApiError,))

    def failure(self) -> Response:
        """500 as the real one words it."""
        return ApiError(500, *STATUS_ERRORS[500]).response()

    def served(self, urls: Mapping[str, str]) -> dict[str, Any]:
        """Addresses, a token, and the credentials of each way to sign in."""
        self._org.instance_url = urls["port"]
        return _told(urls["port"], self._credentials, self._key_file)

    def close(self) -> None:
        """Ends what works in the background, and closes the state."""
        self._salesforce.bulk.close()
        self._salesforce.ingest.close()
        self._org.close()


def _told(url: str, known: Credentials, key_file: Path) -> dict[str, Any]:
    client = {"client_id": known.client_id, "client_secret": known.client_secret}
    user = {"username": known.username, "password": known.password, "security_token": known.security_token}
    return {
        "instance_url": url,
        "login_url": url,
        "access_token": known.file_token,
        "sign_in": [
            {"flow": "soap", **user, "api_version": f"{LAST_LOGIN_VERSION}.0"},
            {"flow": "password", **client, **user},
            {
                "flow": "jwt_bearer",
                "client_id": known.client_id,
                "username": known.username,
                "private_key_file": str(key_file),
                "audience": url,
            },
            {"flow": "client_credentials", **client},
            {"flow": "refresh_token", **client, "refresh_token": known.refresh_token},
        ],
    }
