"""zeep, given only the WSDLs that the Oracle sandbox serves, in its strict mode."""
