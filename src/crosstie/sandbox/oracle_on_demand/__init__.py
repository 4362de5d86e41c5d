"""A local Oracle CRM On Demand: one SOAP endpoint, its sessions, and a company with made-up records."""
