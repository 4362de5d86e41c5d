"""Bodies of several parts, as a bulk job with its data and a record with its content come in.

Source: "Bulk Insert with a Multipart Request", Bulk API 2.0 guide; its own example ends lines with LF alone.
"""

import re

from crosstie.sandbox.salesforce.errors import ApiError


def read_parts(content_type: str, body: bytes) -> dict[str, bytes]:
    """The parts by their names. Raises ApiError for a body that has none."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    parts: dict[str, bytes] = {}
    if boundary is not None:
        mark = rb"(?:\A|\r?\n)--" + re.escape(boundary[1].encode("latin-1"))
        for piece in re.split(mark, body)[1:]:
            head, gap, content = re.sub(rb"\A[ \t]*\r?\n", b"", piece).partition(_gap(piece))
            name = re.search(rb'name="?([^";\r\n]+)', head)
            if gap and name is not None:
                parts[name[1].decode("utf-8", "replace")] = content
    if not parts:
        raise ApiError(400, "API_ERROR", "The multipart body has no named part")
    return parts


def _gap(piece: bytes) -> bytes:
    """What stands between the head of a part and its content."""
    found = re.search(rb"\r?\n\r?\n", piece)
    return found[0] if found else b"\r\n\r\n"
