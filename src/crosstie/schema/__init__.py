"""Remote metadata: what was collected, the local tables made from it, and the conversion of values."""
