"""Oracle CRM On Demand through its SOAP web services."""
