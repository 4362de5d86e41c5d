"""Errors as the Dataverse Web API words them.

Source: "Compose HTTP requests and handle errors" (Dataverse Web API guide); messages and codes are those of the fact
sheet, section 7.
"""

from typing import Any

import msgspec

from crosstie.sandbox.http import Response

JSON_TYPE = "application/json; odata.metadata=minimal"


class ApiError(Exception):
    """A refused request: HTTP status, code (`0x80040217`) and message; `headers` go with the answer."""

    def __init__(self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def response(self, *, annotated: bool = False) -> Response:
        """The whole answer; `annotated` adds what `odata.include-annotations="*"` brings."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if annotated:
            error |= {
                "@Microsoft.PowerApps.CDS.ErrorDetails.OperationStatus": "0",
                "@Microsoft.PowerApps.CDS.ErrorDetails.SubErrorCode": "0",
                "@Microsoft.PowerApps.CDS.HelpLink": f"http://go.microsoft.com/fwlink/?LinkID=398563&error={self.code}",
                "@Microsoft.PowerApps.CDS.TraceText": "",
                "@Microsoft.PowerApps.CDS.InnerError.Message": self.message,
            }
        return json_response({"error": error}, status=self.status, headers=self.headers)


def json_response(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer. A msgspec.Raw inside it is sent as it is, so that decimals keep their digits."""
    return Response(
        status=status,
        headers={"Content-Type": JSON_TYPE, "OData-Version": "4.0"} | (headers or {}),
        parts=(msgspec.json.encode(value),),
    )


def no_segment(name: str) -> ApiError:
    """404 for an entity set, function or property that is not there."""
    return ApiError(404, "0x8006088a", f"Resource not found for the segment '{name}'.")


def no_record(table: str, record_id: str) -> ApiError:
    """404 for a primary key that no row has."""
    return ApiError(404, "0x80040217", f"{table} With Id = {record_id} Does Not Exist")


def unknown_property(name: str, table: str) -> ApiError:
    """400 for a property that a query names and its table has not."""
    return ApiError(400, "0x0", f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table}'.")


def unread_payload(detail: str) -> ApiError:
    """400 for a body that can't be read: wrong types, undeclared properties."""
    return ApiError(
        400,
        "0x80048d19",
        f"Error identified in Payload provided by the user for Entity :'', For more information on this error please"
        f" follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : {detail}",
    )


def undeclared(name: str, *, annotated: bool = False) -> ApiError:
    """400 for a property of a body that its table has not; `annotated` when only its annotation came, as with
    `@odata.bind` of a wrong name."""
    only = " which only has property annotations in the payload but no property value was found" if annotated else ""
    kind = "Microsoft.OData.ODataException"
    return unread_payload(
        f"{kind}: An undeclared property '{name}'{only} was found in the payload. In OData, only declared navigation"
        " properties and declared named streams can be represented as property annotations."
        if annotated
        else f"{kind}: An undeclared property '{name}' was found in the payload."
        " The property does not exist on the type."
    )


STATUS_ERRORS: dict[int, tuple[str, str]] = {
    400: ("0x80040203", "Invalid argument."),
    401: ("", "The token is not valid."),
    403: ("0x80040220", "Principal user is missing a privilege."),
    404: ("0x80060888", "Resource not found."),
    408: ("0x80044151", "SQL timeout expired."),
    412: ("0x80060882", "The version of the existing record doesn't match the RowVersion property provided."),
    413: ("0x80048d19", "The request entity is too large."),
    429: (
        "0x80072322",
        "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
    ),
    500: ("0x80040216", "An unexpected error occurred."),
    501: ("0x80060888", "Not implemented."),
    502: ("", "Bad Gateway"),
    503: ("", "Service Unavailable"),
    504: ("", "Gateway Timeout"),
}
"""What an injected status says when the plan gives no words of its own."""
