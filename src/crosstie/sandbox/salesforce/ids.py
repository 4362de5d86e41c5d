"""Salesforce record ids: 15 case-sensitive base-62 characters, and the 18-character form with its checksum.

Source: "ID Field Type", SOAP API guide.
"""

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""In ASCII order, so that ids compared as bytes ascend with their numbers."""
CHECKSUMS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
POD = "5g00000"
"""What stands between key prefix and number in every id of this org."""


def number_text(number: int, width: int) -> str:
    """`number` in base 62, padded with zeros to `width`."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def checksum(id15: str) -> str:
    """The three characters that make 18 of 15: one for each group of five, a bit for each capital."""
    return "".join(
        CHECKSUMS[sum(1 << k for k, character in enumerate(id15[start : start + 5]) if "A" <= character <= "Z")]
        for start in (0, 5, 10)
    )


def make_id(prefix: str, number: int) -> str:
    """The 18-character id of the `number`-th record of an object."""
    id15 = prefix + POD + number_text(number, 5)
    return id15 + checksum(id15)


def to_18(text: str) -> str | None:
    """The 18-character form of a 15- or 18-character id; None when it is malformed."""
    if len(text) not in (15, 18) or not text.isascii() or not text.isalnum():
        return None
    complete = text[:15] + checksum(text[:15])
    # An 18-character id is accepted in any case of its suffix, as Salesforce does.
    return complete if len(text) == 15 or text[15:].upper() == complete[15:] else None
