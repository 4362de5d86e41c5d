"""SOAP: login (up to version 64.0) and logout of the partner and enterprise APIs, and what only SOAP does with records.

Source: "login()", SOAP API guide; the shapes are bound by what stock clients parse (fact sheet 1.1): `sessionId`,
`serverUrl` and the like unprefixed and without attributes, the fault's children prefixed `sf:`.
"""

from xml.sax.saxutils import escape

from lxml import etree

from crosstie.sandbox.http import Request, Response
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.generate import ORG_ID
from crosstie.sandbox.salesforce.org import OLDEST_VERSION, Org, Session
from crosstie.sandbox.salesforce.sessions import Credentials, Sessions, user_row
from crosstie.sandbox.salesforce.soap_rows import OPERATIONS, SoapRows

LAST_LOGIN_VERSION = 64
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
)
_WRONG_LOGIN = "Invalid username, password, security token; or user locked out."


class SoapFault(Exception):
    """A fault: code without prefix, message, and the type of its detail."""

    def __init__(self, code: str, message: str, kind: str = "LoginFault") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.kind = kind


class Soap:
    """The SOAP endpoint of one org."""

    def __init__(self, org: Org, sessions: Sessions, credentials: Credentials, rows: SoapRows) -> None:
        self._org = org
        self._sessions = sessions
        self._credentials = credentials
        self._rows = rows

    def serve(self, request: Request, api: str, version: str) -> Response:
        """POST /services/Soap/{u|c}/{version}; the metadata and tooling APIs (m, T) have no operations here."""
        if api in ("m", "T"):
            return _unknown_operation(etree.QName(self._parse(request)[0]))
        namespace = f"urn:{'partner' if api == 'u' else 'enterprise'}.soap.sforce.com"
        try:
            if float(version) < OLDEST_VERSION:
                raise SoapFault(
                    "UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL", "UnexpectedErrorFault"
                )
            operation, header = self._parse(request)
            name = etree.QName(operation).localname
            if name == "login" and float(version) <= LAST_LOGIN_VERSION:
                return self._login(operation, version, api, namespace)
            if name == "logout":
                return self._logout(header, namespace)
            if name in OPERATIONS:
                session = self._session(request, header)
                body = f"<{name}Response>{self._rows.results(operation, session)}</{name}Response>"
                return _xml(f'{_HEAD} xmlns="{namespace}"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>')
            return _unknown_operation(etree.QName(operation))
        except SoapFault as fault:
            return fault_response(fault)

    def _parse(self, request: Request) -> tuple[etree._Element, etree._Element | None]:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        try:
            envelope = etree.fromstring(request.body, parser)
        except etree.XMLSyntaxError as error:
            raise SoapFault("INVALID_OPERATION", "Failed to parse request", "UnexpectedErrorFault") from error
        body = envelope.find(f"{{{_ENVELOPE}}}Body")
        if "soapaction" not in request.headers:
            raise SoapFault("INVALID_OPERATION", "SOAPAction HTTP header missing", "UnexpectedErrorFault")
        if body is None or len(body) == 0:
            raise SoapFault("INVALID_OPERATION", "Missing entity body", "UnexpectedErrorFault")
        return body[0], envelope.find(f"{{{_ENVELOPE}}}Header")

    def _login(self, operation: etree._Element, version: str, api: str, namespace: str) -> Response:
        if not self._org.switches.soap_login:
            raise SoapFault(
                self._org.switches.soap_login_code, "SOAP API login() is disabled in this org.", "UnexpectedErrorFault"
            )
        given = {etree.QName(child).localname: child.text or "" for child in operation if isinstance(child.tag, str)}
        known = self._credentials
        if given.get("username") != known.username:
            raise SoapFault("INVALID_LOGIN", _WRONG_LOGIN)
        if given.get("password") == known.password:
            raise SoapFault(
                "LOGIN_MUST_USE_SECURITY_TOKEN",
                "Invalid username, password, security token; or user locked out. Are you at a new location? When"
                " accessing Salesforce--either via a desktop client or the API--from outside of your company's"
                " trusted networks, you must add a security token to your password to log in.",
            )
        if given.get("password") != known.password + known.security_token:
            raise SoapFault("INVALID_LOGIN", _WRONG_LOGIN)
        if not self._org.count_login():
            raise SoapFault("LOGIN_RATE_EXCEEDED", "Login Rate Exceeded")
        session = self._sessions.open("soap", shared=self._org.switches.soap_sessions_shared)
        return _xml(self._login_result(session, version, api, namespace))

    def _login_result(self, session: Session, version: str, api: str, namespace: str) -> str:
        with self._org.database.reading() as connection:
            user = user_row(connection, session.user_id)
        url = self._org.instance_url
        info = {
            "accessibilityMode": "false",
            "currencySymbol": "€",
            "organizationId": ORG_ID,
            "organizationMultiCurrency": "false",
            "organizationName": "Acme",
            "profileId": "00e5g000000XtieAAA",
            "sessionSecondsValid": str(int(self._org.switches.session_idle_seconds)),
            "userDefaultCurrencyIsoCode": "EUR",
            "userEmail": user["Email"],
            "userFullName": user["Name"],
            "userId": session.user_id,
            "userLanguage": user["LanguageLocaleKey"],
            "userLocale": user["LocaleSidKey"],
            "userName": user["Username"],
            "userTimeZone": user["TimeZoneSidKey"],
            "userType": user["UserType"],
            "userUiSkin": "Theme3",
        }
        described = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in info.items())
        return (
            f'{_HEAD} xmlns="{namespace}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
            f"<loginResponse><result><metadataServerUrl>{url}/services/Soap/m/{version}/{ORG_ID[:15]}"
            "</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>false</sandbox>"
            f"<serverUrl>{url}/services/Soap/{api}/{version}/{ORG_ID[:15]}</serverUrl>"
            f"<sessionId>{session.token}</sessionId><userId>{session.user_id}</userId>"
            f"<userInfo>{described}</userInfo></result></loginResponse></soapenv:Body></soapenv:Envelope>"
        )

    def _session(self, request: Request, header: etree._Element | None) -> Session:
        """Whose session the header names; the call is put onto the API meter."""
        found = header.find(".//{*}sessionId") if header is not None else None
        token = "" if found is None else found.text or ""
        session = self._sessions.find(token, self._org.switches.session_idle_seconds)
        if session is None:
            raise SoapFault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader", "UnexpectedErrorFault")
        try:
            self._org.count_call(request, session)
        except ApiError as error:
            raise SoapFault(error.code, error.message, "UnexpectedErrorFault") from error
        return session

    def _logout(self, header: etree._Element | None, namespace: str) -> Response:
        found = header.find(".//{*}sessionId") if header is not None else None
        if found is None or not self._sessions.close(found.text or ""):
            raise SoapFault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader", "UnexpectedErrorFault")
        return _xml(f'{_HEAD} xmlns="{namespace}"><soapenv:Body><logoutResponse/></soapenv:Body></soapenv:Envelope>')


def fault_response(fault: SoapFault) -> Response:
    """HTTP 500 with the fault in Salesforce's form."""
    message = escape(fault.message)
    return _xml(
        f'{_HEAD} xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<soapenv:Body><soapenv:Fault><faultcode>sf:{fault.code}</faultcode>"
        f'<faultstring>{fault.code}: {message}</faultstring><detail><sf:{fault.kind} xsi:type="sf:{fault.kind}">'
        f"<sf:exceptionCode>{fault.code}</sf:exceptionCode><sf:exceptionMessage>{message}</sf:exceptionMessage>"
        f"</sf:{fault.kind}></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>",
        status=500,
    )


def _unknown_operation(name: etree.QName) -> Response:
    """What the platform says of an operation that the version does not have, login() from 65.0 on included."""
    text = escape(
        f"No operation available for request {{{name.namespace}}}{name.localname},"
        " please check the WSDL for the service."
    )
    return _xml(
        f"{_HEAD}><soapenv:Body><soapenv:Fault><faultcode>soapenv:Client</faultcode>"
        f"<faultstring>{text}</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>",
        status=500,
    )


def _xml(text: str, *, status: int = 200) -> Response:
    return Response(status=status, headers={"Content-Type": "text/xml;charset=UTF-8"}, parts=(text.encode(),))
