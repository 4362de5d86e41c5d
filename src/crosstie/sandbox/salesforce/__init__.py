"""The Salesforce sandbox: an org of ours that answers like Salesforce."""
