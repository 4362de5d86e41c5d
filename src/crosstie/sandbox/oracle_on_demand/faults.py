"""Faults as Oracle CRM On Demand words them, in both of its shapes.

A: the application's (siebdetail with an error stack); B: the front end's (ErrorCode and ErrorMessage). Source: Web
Services On Demand Troubleshooting Guide, and the fact sheet, section 5.
"""

from typing import Literal

from lxml import etree

from crosstie.sandbox.http import Response
from crosstie.sandbox.oracle_on_demand.switches import Switches

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
SIEBEL_FAULT = "http://www.siebel.com/ws/fault"
LOG_FILE = "OnDemandServicesObjMgr_enu_71947.log"
XML_TYPE = "text/xml;charset=utf-8"
WRAPPER = "SBL-EAI-04376"
"""What the application adds after the cause: the method of the component returned an error."""
FRONT_END = "SBL-ODU-"
TOO_FAST = "SBL-ODU-01005"
_PLANNED_WAIT = 120
"""Milliseconds that a throttling fault of the plan asks for."""

Shape = Literal["A", "B"]


class SoapFault(Exception):
    """A refused request. `code` is the inner code, without parentheses; `status` None is the switch's."""

    def __init__(
        self,
        shape: Shape,
        code: str,
        message: str,
        *,
        symbol: str = "",
        status: int | None = None,
        request_wait: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.shape = shape
        self.code = code
        self.message = message
        self.symbol = symbol
        self.status = status
        self.request_wait = request_wait

    def response(self, switches: Switches) -> Response:
        """The whole answer."""
        body = _application(self, switches) if self.shape == "A" else _front_end(self)
        return Response(
            status=switches.fault_status if self.status is None else self.status,
            headers={"Content-Type": XML_TYPE},
            parts=(etree.tostring(body, xml_declaration=True, encoding="UTF-8"),),
        )


def _application(fault: SoapFault, switches: Switches) -> etree._Element:
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"SOAP-ENV": SOAP})
    told = _child(_child(envelope, f"{{{SOAP}}}Body"), f"{{{SOAP}}}Fault")
    _child(told, "faultcode", "SOAP-ENV:Server")
    _child(told, "faultstring", fault.message)
    detail = etree.SubElement(_child(told, "detail"), f"{{{SIEBEL_FAULT}}}siebdetail", nsmap={"siebelf": SIEBEL_FAULT})
    _child(detail, f"{{{SIEBEL_FAULT}}}logfilename", LOG_FILE)
    error = _child(_child(detail, f"{{{SIEBEL_FAULT}}}errorstack"), f"{{{SIEBEL_FAULT}}}error")
    code = f"({fault.code})" if switches.codes_in_parentheses and fault.code else fault.code
    _child(error, f"{{{SIEBEL_FAULT}}}errorcode", code)
    _child(error, f"{{{SIEBEL_FAULT}}}errorsymbol", fault.symbol)
    _child(error, f"{{{SIEBEL_FAULT}}}errormsg", fault.message)
    return envelope


def _front_end(fault: SoapFault) -> etree._Element:
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    told = _child(_child(envelope, f"{{{SOAP}}}Body"), f"{{{SOAP}}}Fault")
    _child(told, "faultcode", "soap:Server")
    _child(told, "faultstring", "Server")
    detail = _child(told, "detail")
    _child(detail, "ErrorCode", fault.code)
    _child(detail, "ErrorMessage", fault.message)
    if fault.request_wait is not None:
        _child(detail, "RequestWait", str(fault.request_wait))
    return envelope


def _child(parent: etree._Element, tag: str, text: str | None = None) -> etree._Element:
    made = etree.SubElement(parent, tag)
    if text:
        made.text = text
    return made


def refused(status: int, code: str | None, message: str | None) -> SoapFault:
    """A fault of the plan: the front end's unless its code is the application's."""
    if code is None:
        return SoapFault("B", "SBL-ODU-01006", message or INTERNAL, status=status)
    if code == TOO_FAST:
        return SoapFault(
            "B", code, message or too_fast(_PLANNED_WAIT).message, status=status, request_wait=_PLANNED_WAIT
        )
    shape: Shape = "B" if code.startswith(FRONT_END) else "A"
    return SoapFault(shape, code, message or INTERNAL, status=status)


INTERNAL = "Internal Error: com.siebel.ondemand.integration.IntegrationServletException: RIP_WAIT_ERROR_TIMEOUT"
"""What the front end says when the application does not answer it in time; the work may be done."""


def too_fast(wait: int) -> SoapFault:
    """More than 20 requests a second."""
    message = f"The maximum rate of requests was exceeded. Please try again in {wait} ms."
    return SoapFault("B", TOO_FAST, message, request_wait=wait)


def no_session(switches: Switches) -> SoapFault:
    """No credentials, or a cookie of a session that has ended."""
    return SoapFault("B", switches.session_code, "Internal Error: Session is not available. Aborting.")


def no_slot(quota: int) -> SoapFault:
    """As many sessions are open as the company may have."""
    message = f"Internal Error: the maximum number of concurrent sessions ({quota}) of the company has been reached."
    return SoapFault("B", "SBL-ODU-01006", message)


def too_large(kilobytes: int) -> SoapFault:
    """A request over the size cap."""
    return SoapFault("B", "SBL-ODU-01006", f"Request exceeded the size limit of {kilobytes} KB.")


def unreadable(detail: str) -> SoapFault:
    """No XML, or no SOAP envelope."""
    return SoapFault("B", "SBL-ODU-01008", f"The request could not be parsed: {detail}")


def no_operation(name: str) -> SoapFault:
    """An operation that no service has under that namespace."""
    message = f"There is no active Web Service with operation named '{name}'.(SBL-EAI-04313)"
    return SoapFault("A", "SBL-EAI-04313", message)


def not_available(name: str) -> SoapFault:
    """A service or an object that this user may not have."""
    return SoapFault("B", "SBL-ODU-01011", f"The service {name} is not available to this user.")


def wrong_logon() -> SoapFault:
    """Credentials in a SOAP header that are nobody's."""
    message = "You have entered an invalid set of logon parameters. Please type in your logon parameters again."
    return SoapFault("A", "SBL-DAT-00446", f"{message}(SBL-DAT-00446)")


def wrapped(code: str, message: str, method: str, component: str, search: str = "") -> SoapFault:
    """What the business component refused, inner cause first, with the record's search specification if known."""
    found = f" for record with search specification '{search}'" if search else ""
    text = (
        f"Method '{method}' of business component '{component}' (integration component '{component}'){found}"
        f' returned the following error:"{message}({code})"({WRAPPER})'
    )
    return SoapFault("A", code, text)


def unknown_field(tag: str, component: str) -> SoapFault:
    """A tag that the object has not."""
    message = (
        f"Field '{tag}' does not exist in definition for business component '{component}'."
        " Please ask your systems administrator to check your configuration."
    )
    return SoapFault("A", "SBL-DAT-00398", f"{message}(SBL-DAT-00398)")


def no_user_key(component: str) -> SoapFault:
    """None of the object's keys can be used."""
    message = f"No user key can be used for the Integration Component instance '{component}'.(SBL-EAI-04397)"
    return SoapFault("A", "SBL-EAI-04397", message, symbol="IDS_ERR_EAI_SA_NO_USERKEY")


def several_matches(component: str, search: str) -> SoapFault:
    """A key that finds several records, or another key than the batch's first record has."""
    message = (
        f"Multiple matches found for instance of Integration Component '{component}' using search specification"
        f" '{search}' in the business component '{component}', based on user key.(SBL-EAI-04390)"
    )
    return SoapFault("A", "SBL-EAI-04390", message, symbol="IDS_ERR_EAI_SA_MULTIPLE_MATCH")


def no_record(component: str, search: str) -> SoapFault:
    """A key that finds nothing."""
    message = (
        f"No rows retrieved corresponding to the business component '{component}'(integration component"
        f" '{component}') based on search specification '{search}'.(SBL-EAI-04378)"
    )
    return SoapFault("A", "SBL-EAI-04378", message, symbol="IDS_ERR_EAI_SA_NO_ROW")


def conflict(switches: Switches, component: str) -> SoapFault:
    """ModId is not the record's."""
    message = "The selected record has been modified by another user since it was retrieved. Please continue."
    return wrapped(switches.conflict_code, message, "WriteRecord", component)


def duplicate(switches: Switches, component: str, search: str) -> SoapFault:
    """Another record has one of the keys."""
    code = switches.duplicate_code
    if code in ("SBL-EAI-04381", "SBL-EAI-04383"):
        message = (
            f"For instance of Integration Component '{component}', using user key '{search}', a record with identical"
            f" values already exists in the Siebel database.({code})"
        )
        return SoapFault("A", code, message)
    message = (
        "A record that contains identical values to the record you are trying to create already exists. If you would"
        " like to enter a new record, please ensure that the field values are unique."
    )
    return wrapped(code, message, "WriteRecord", component)
