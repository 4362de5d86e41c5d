"""Local CRMs over https that stand in for the real ones in the demo and the tests."""
