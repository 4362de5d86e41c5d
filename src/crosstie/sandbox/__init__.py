"""Local CRMs over https that stand in for the real ones in the demo and the tests.

`start` serves one in the foreground, `running` from a thread of the caller.
"""

from crosstie.sandbox.service import SANDBOXES, SandboxService, StateInUse, running, start

__all__ = ["SANDBOXES", "SandboxService", "StateInUse", "running", "start"]
