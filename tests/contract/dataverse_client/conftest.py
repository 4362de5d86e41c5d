"""Microsoft's Python client for Dataverse, unchanged, signed in by azure-identity, against the sandbox."""

from collections.abc import Iterator

import pytest
from azure.identity import ClientSecretCredential
from PowerPlatform.Dataverse.client import DataverseClient

from tests.sandboxes import Sandbox, running_sandbox


@pytest.fixture(scope="session")
def dataverse() -> Iterator[Sandbox]:
    """One small organization for the suite."""
    with running_sandbox(records=60, kind="dynamics") as running:
        yield running


@pytest.fixture(scope="session")
def shared_client(dataverse: Sandbox) -> Iterator[DataverseClient]:
    """Its transport takes the authority to trust from the environment only."""
    told, known = dataverse.told, dataverse.sign_in("client_secret")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("REQUESTS_CA_BUNDLE", str(dataverse.ca_file))
        environment.delenv("CURL_CA_BUNDLE", raising=False)
        credential = ClientSecretCredential(
            told["tenant"],
            known["client_id"],
            known["client_secret"],
            authority=told["authority"],
            disable_instance_discovery=True,
            connection_verify=str(dataverse.ca_file),
        )
        with DataverseClient(told["url"], credential) as opened:
            yield opened
        credential.close()


@pytest.fixture
def client(dataverse: Sandbox, shared_client: DataverseClient) -> Iterator[DataverseClient]:
    """The client; each test leaves as many contacts as it found."""
    before = len(list(shared_client.records.list("contact", select=["contactid"])))
    yield shared_client
    assert len(list(shared_client.records.list("contact", select=["contactid"]))) == before
