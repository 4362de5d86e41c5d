"""Salesforce: REST, Bulk API 2.0, OAuth and SOAP login."""
