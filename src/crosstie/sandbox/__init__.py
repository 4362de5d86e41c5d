"""Local CRMs over https that stand in for the real ones in the demo and the tests.

`start` makes or opens a sandbox in a state directory; `running` serves one from a thread.
"""

from crosstie.sandbox.service import SandboxService, StateInUse, running, start

__all__ = ["SandboxService", "StateInUse", "running", "start"]
