"""Errors as Salesforce words them.

Source: "Status Codes and Error Responses", REST API guide; the messages are those of the fact sheet, section 4.
"""

from typing import Any

import msgspec

from crosstie.sandbox.http import Response

JSON_TYPE = "application/json;charset=UTF-8"


class ApiError(Exception):
    """A refused request or row: HTTP status, error code, message and the fields at fault.

    `members` are what REST tells of it beyond that; `unread` says that the record names what its object does not have.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        fields: list[str] | None = None,
        *,
        members: dict[str, Any] | None = None,
        unread: bool = False,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.members = members or {}
        self.unread = unread

    def entry(self) -> dict[str, Any]:
        """The error as REST lists it; `fields` appears for DML errors only."""
        entry: dict[str, Any] = {**self.members, "message": self.message, "errorCode": self.code}
        if self.fields is not None:
            entry["fields"] = self.fields
        return entry

    def row_entry(self) -> dict[str, Any]:
        """The error as a row of a collection shows it: `statusCode`, not `errorCode`."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields or []}

    def response(self) -> Response:
        """The whole answer."""
        return json_response([self.entry()], status=self.status)


def json_response(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(
        status=status, headers={"Content-Type": JSON_TYPE} | (headers or {}), parts=(msgspec.json.encode(value),)
    )


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    """404 NOT_FOUND."""
    return ApiError(404, "NOT_FOUND", message)


def malformed_id(value: str, field: str | None = None, label: str | None = None) -> ApiError:
    """400 MALFORMED_ID; `field` names the reference field that holds it, and `label` is what people call it."""
    where = f"{label or field}: id value of incorrect type: {value}" if field else f"malformed id {value}"
    return ApiError(400, "MALFORMED_ID", where, [field] if field else [])


def invalid_session() -> ApiError:
    """401, as the client must see it to sign in again."""
    return ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")


STATUS_ERRORS: dict[int, tuple[str, str]] = {
    400: ("UNKNOWN_EXCEPTION", "An unexpected error occurred"),
    401: ("INVALID_SESSION_ID", "Session expired or invalid"),
    403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    404: ("NOT_FOUND", "The requested resource does not exist"),
    420: ("TOO_MANY_REQUESTS", "Too many requests"),
    429: ("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
    500: ("UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support"),
    502: ("SERVER_UNAVAILABLE", "Bad Gateway"),
    503: ("SERVER_UNAVAILABLE", "The server is too busy right now. Please try again."),
}
"""What an injected status says when the plan gives no words of its own."""
