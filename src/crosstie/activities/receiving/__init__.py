"""What activities that read records of a CRM have in common: windows, pieces on threads, private tables."""
