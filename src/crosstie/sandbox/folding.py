"""How text compares where case makes no difference.

Text compares by its upper case, character by character. Characters whose upper case is longer than one character keep
themselves; so do the two whose upper case is an ASCII letter (dotless i, long s), so that text in ASCII compares the
same by SQLite's own NOCASE and LIKE, which need no call into Python.
"""

from __future__ import annotations


class _Upper(dict[int, int]):
    """Translation table of the simple upper case, filled as characters are seen."""

    def __missing__(self, code: int) -> int:
        if code < 128:
            self[code] = ord(chr(code).upper())
            return self[code]
        upper = chr(code).upper()
        found = ord(upper) if len(upper) == 1 and not upper.isascii() else code
        self[code] = found
        return found


_UPPER = _Upper()


def fold(text: str | None) -> str | None:
    """The form by which text compares and sorts; None stays None."""
    if text is None:
        return None
    return text.upper() if text.isascii() else text.translate(_UPPER)
