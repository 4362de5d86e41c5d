"""Sending rows to a CRM: what exporting and deleting have in common. No activity itself."""
