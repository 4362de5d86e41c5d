"""Speaks to Microsoft Dynamics 365 through the Dataverse Web API."""
