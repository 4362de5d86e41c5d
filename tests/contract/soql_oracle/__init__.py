"""The sandbox's SOQL engine compared with a second, plain Python evaluation over generated queries and data."""
