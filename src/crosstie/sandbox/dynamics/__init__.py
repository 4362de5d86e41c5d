"""A Dynamics 365 organization with its sign-in: Dataverse Web API, metadata and data."""
