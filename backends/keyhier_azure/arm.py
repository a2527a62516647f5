"""Describes live resources: Azure Resource Manager and Resource Graph, on the SDK's pipeline.

https://learn.microsoft.com/rest/api/resources/resources/get-by-id and
https://learn.microsoft.com/rest/api/azureresourcegraph/resourcegraph/resources/resources. A few
resources are asked for one by one, many with one query. What they name is fetched, too, as are the
instances of scale sets (https://learn.microsoft.com/rest/api/compute/virtual-machine-scale-set-vms/list),
and of a vault that may not be read there, the region is taken from the vault's own answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from azure.core import PipelineClient
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    HeadersPolicy,
    RetryPolicy,
    SansIOHTTPPolicy,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse

from keyhier.errors import (
    AuthenticationError,
    InvalidInputError,
    KeyhierError,
    ThrottledError,
    UnavailableError,
)
from keyhier.live import FetchResources, LiveResource
from keyhier_azure.arm_address import ArmAddress
from keyhier_azure.credentials import credential_source
from keyhier_azure.session import LeanSession, verification_and_proxies
from keyhier_azure.vault_region import vault_region

__all__ = ["fetch"]

_ID: Final = re.compile(
    r"/subscriptions/(?P<subscription>[^/'\"\\]+)/resourceGroups/[^/'\"\\]+/providers"
    r"/(?P<type>microsoft\.(?:compute|keyvault)/[a-z]+)/[^/'\"\\]+",
    re.IGNORECASE,
)
# https://learn.microsoft.com/azure/templates lists the versions of each type.
_VERSIONS: Final = {
    "microsoft.compute/virtualmachines": "2024-07-01",
    "microsoft.compute/virtualmachinescalesets": "2024-07-01",
    "microsoft.compute/disks": "2024-03-02",
    "microsoft.compute/snapshots": "2024-03-02",
    "microsoft.compute/diskencryptionsets": "2024-03-02",
    "microsoft.keyvault/vaults": "2023-07-01",
    "microsoft.keyvault/managedhsms": "2023-07-01",
}
# A machine names these; what else it names says nothing about its encryption.
_FOLLOWED: Final = frozenset(
    {
        "microsoft.compute/disks",
        "microsoft.compute/diskencryptionsets",
        "microsoft.keyvault/vaults",
        "microsoft.keyvault/managedhsms",
    }
)
_SCALE_SET: Final = "microsoft.compute/virtualmachinescalesets"
_INSTANCE: Final = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"
_VAULTS: Final = ("microsoft.keyvault/vaults", "microsoft.keyvault/managedhsms")
_GRAPH: Final = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
_VAULT_URL: Final = re.compile(r"https://(?P<host>[A-Za-z0-9.-]+(?::[0-9]{1,5})?)(?:/|$)")

_TOLD: Final = {403: "you may not read it", 404: "it is not there", 400: "the request is refused"}
"""Answers about one resource, which keep no other from being read."""

_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,80}")

_ONE_BY_ONE: Final = 8
"""Up to so many resources are asked for one by one."""

_BATCH: Final = 500
"""How many ids stand in one query."""

_MOST: Final = 50_000
"""More than this are not fetched in one run."""

_MOST_INSTANCES: Final = 1_000
"""No scale set has more, so its list has no more pages
(https://learn.microsoft.com/azure/virtual-machine-scale-sets/virtual-machine-scale-sets-placement-groups).
"""


def fetch(request: FetchResources) -> Iterator[LiveResource]:
    """Yield the resources, and the disks, sets, vaults and instances that they name or have.

    Raises:
        InvalidInputError: an id is none of a machine, disk, snapshot, set or vault; or the
            endpoint is no Azure Resource Manager's.
        AuthenticationError: no token could be had, or it was not accepted.
        ThrottledError, UnavailableError: Azure cannot be asked.
    """
    address = ArmAddress.parse(request.endpoint)
    wanted = {_checked(each).casefold(): each for each in request.ids}
    known: dict[str, LiveResource] = {}
    with _Manager(address, request.credential) as manager:
        while wanted:
            if len(known) + len(wanted) > _MOST:
                raise InvalidInputError(f"more than {_MOST} resources are not fetched at once")
            fetched = list(manager.describe(list(wanted.values())))
            fetched += [one for each in fetched for one in manager.instances(each)]
            for each in fetched:
                known[each.id.casefold()] = each
            yield from fetched
            named = {text.casefold(): text for each in fetched for text in _ids(each.document)}
            wanted = {name: text for name, text in named.items() if name not in known}
        yield from _by_their_own_answers(known.values(), address)


def _checked(text: str) -> str:
    found = _ID.fullmatch(text.removesuffix("/"))
    if found is None or found["type"].casefold() not in _VERSIONS:
        kinds = ", ".join(sorted(_VERSIONS))
        raise InvalidInputError(
            f"{text!r:.300} is no id of a resource that is checked: {kinds}",
            remedy="`az resource list --query [].id` prints ids",
        )
    return text.removesuffix("/")


def _texts(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _ids(document: object) -> Iterator[str]:
    """Yield the ids of what a document names."""
    for text in _texts(document):
        found = _ID.fullmatch(text)
        if found is not None and found["type"].casefold() in _FOLLOWED:
            yield text


def _by_their_own_answers(
    known: Iterable[LiveResource], address: ArmAddress
) -> Iterator[LiveResource]:
    """Yield the vaults that only a URL names, or that may not be read, with their regions."""
    listed = list(known)
    described = {
        each.id.rpartition("/")[2].casefold()
        for each in listed
        if each.document is not None and _kind(each.id) in _VAULTS
    }
    hosts = dict.fromkeys(
        found["host"].casefold()
        for each in listed
        for text in _texts(each.document)
        if (found := _VAULT_URL.match(text))
    )
    unread = {
        each.id.rpartition("/")[2].casefold(): each.id
        for each in listed
        if each.document is None and _kind(each.id) in _VAULTS
    }
    for host in hosts:
        name = host.partition(".")[0]
        region = None if name in described else vault_region(host, address)
        if region is not None:
            document: dict[str, object] = {
                "type": "Microsoft.KeyVault/vaults",
                "name": name,
                "location": region,
                "properties": {"vaultUri": f"https://{host}/"},
            }
            if name in unread:
                document["id"] = unread[name]
            yield LiveResource(f"https://{host}", document)


def _kind(identity: str) -> str:
    found = _ID.match(identity)
    return found["type"].casefold() if found else ""


class _Manager:
    """Azure Resource Manager, to be asked until it is left."""

    def __init__(self, address: ArmAddress, credential: object | None) -> None:
        verify, proxies = verification_and_proxies(address)
        tokens = credential_source(credential, address)()
        self._address = address
        self._client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            address.url,
            policies=[
                HeadersPolicy({"Accept": "application/json"}),
                RetryPolicy(retry_total=4, retry_backoff_max=16),
                BearerTokenCredentialPolicy(tokens, f"{address.resource}/.default"),
                # No redirection is followed, and no body is ever logged.
                SansIOHTTPPolicy(),
            ],
            transport=RequestsTransport(
                session=LeanSession(), use_env_settings=False, connection_verify=verify
            ),
        )
        self._options: dict[str, Any] = {
            "proxies": proxies,
            "connection_timeout": 10,
            "read_timeout": 60,
        }

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._client.close()

    def describe(self, ids: list[str]) -> Iterator[LiveResource]:
        """Yield what there is of each of the resources."""
        if len(ids) <= _ONE_BY_ONE:
            for each in ids:
                yield self._get(each)
            return
        for start in range(0, len(ids), _BATCH):
            yield from self._query(ids[start : start + _BATCH])

    def instances(self, found: LiveResource) -> Iterator[LiveResource]:
        """Yield the instances of a scale set, with their instance views; of anything else nothing.

        Where they may not be listed, that is yielded without a document, as of a resource.
        """
        # The ids of instances begin as that of their scale set does.
        parts = _ID.fullmatch(found.id)
        if found.document is None or parts is None or parts["type"].casefold() != _SCALE_SET:
            return
        listed = f"{found.id}/virtualMachines"
        properties = found.document.get("properties")
        mode = properties.get("orchestrationMode") if isinstance(properties, Mapping) else None
        if str(mode).casefold() == "flexible":
            # https://learn.microsoft.com/azure/virtual-machine-scale-sets/virtual-machine-scale-sets-orchestration-modes
            reason = "the machines of a flexible scale set have ids of their own; name them, too"
            yield LiveResource(listed, None, reason)
            return
        page: str | None = f"{self._url(listed, _VERSIONS[_SCALE_SET])}&$expand=instanceView"
        asked: set[str] = set()
        while page is not None:
            if page in asked or len(asked) >= _MOST_INSTANCES:
                raise UnavailableError("Azure Resource Manager's list does not end")
            asked.add(page)
            answer = self._send(HttpRequest("GET", page))
            if answer.status_code in _TOLD:
                yield LiveResource(listed, None, _reason(answer))
                return
            content = _content(answer)
            rows = _rows(content.get("value"))
            if rows != content.get("value"):
                raise _unusable(answer)
            for row in rows:
                yield LiveResource(row["id"], {"type": _INSTANCE, **row})
            page = self._next(content.get("nextLink"))

    def _next(self, link: object) -> str | None:
        """Return the URL of a list's next page, which is one of this resource manager."""
        if link is None or link == "":
            return None
        try:
            there, here = urlsplit(str(link)), urlsplit(self._address.url)
            same = there.scheme == "https" and there.hostname == here.hostname
            same = same and (there.port or 443) == (here.port or 443)
        except ValueError:
            same = False
        if not same:
            # The token is for nobody else.
            raise UnavailableError("Azure Resource Manager's list leads elsewhere")
        return f"{self._address.url}{there.path}?{there.query}"

    def _url(self, identity: str, version: str) -> str:
        return f"{self._address.url}{quote(identity, safe='/()-_.~')}?api-version={version}"

    def _get(self, identity: str) -> LiveResource:
        url = self._url(identity, _VERSIONS[_kind(identity)])
        answer = self._send(HttpRequest("GET", url))
        if answer.status_code in _TOLD:
            return LiveResource(identity, None, _reason(answer))
        return LiveResource(identity, _content(answer))

    def _query(self, ids: list[str]) -> Iterator[LiveResource]:
        listed = ", ".join(f"'{each}'" for each in ids)
        body: dict[str, Any] = {
            "query": f"Resources | where id in~ ({listed}) or"
            " (type =~ 'microsoft.compute/virtualmachines/extensions' and"
            f" substring(id, 0, indexof(id, '/extensions/')) in~ ({listed}))",
            "subscriptions": sorted({each.split("/")[2].casefold() for each in ids}),
            "options": {"resultFormat": "objectArray", "$top": 1000},
        }
        found: set[str] = set()
        tokens: set[str] = set()
        while True:
            answer = self._send(HttpRequest("POST", f"{self._address.url}{_GRAPH}", json=body))
            page = _content(answer)
            for row in _rows(page.get("data")):
                found.add(row["id"].casefold())
                yield LiveResource(row["id"], row)
            token = page.get("$skipToken")
            if not isinstance(token, str) or not token:
                break
            # Each page has a row at least.
            if token in tokens or len(tokens) > _MOST:
                raise UnavailableError("Azure Resource Manager's list does not end")
            tokens.add(token)
            body["options"] = {**body["options"], "$skipToken": token}
        for each in ids:
            if each.casefold() not in found:
                yield LiveResource(each, None, "it is not there, or you may not see it")

    def _send(self, request: HttpRequest) -> HttpResponse:
        told = f"{request.method} {request.url.removeprefix(self._address.url).partition('?')[0]}"
        try:
            answer = self._client.send_request(request, **self._options)
            answer.read()
        except ClientAuthenticationError as error:
            raise AuthenticationError(
                "no token could be had for Azure Resource Manager",
                native=f"{told}: {type(error).__name__}",
                remedy="log in (az login), or set AZURE_TENANT_ID, AZURE_CLIENT_ID and what goes"
                " with them",
            ) from error
        except (AzureError, OSError) as error:
            raise UnavailableError(
                "Azure Resource Manager cannot be reached, or its certificate is not trusted",
                native=f"{told}: {type(error).__name__}",
                remedy="see whether the network, the proxy and the certificates are right",
            ) from error
        failure = _failure(answer, told)
        if failure is not None:
            raise failure
        return answer


def _failure(answer: HttpResponse, told: str) -> KeyhierError | None:
    """Return what an answer means that no single resource is to blame for."""
    native = f"{told}: {answer.status_code}"
    match answer.status_code:
        case 401:
            return AuthenticationError(
                "Azure Resource Manager does not accept the token",
                native=native,
                remedy="see whether the credential is of the subscription's tenant",
            )
        case 429:
            return ThrottledError(
                "Azure Resource Manager asks to slow down", native=native, remedy="try again later"
            )
        case status if status >= 500 or 300 <= status < 400:
            return UnavailableError(
                "Azure Resource Manager failed", native=native, remedy="try again"
            )
    return None


def _content(answer: HttpResponse) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        content = None
    if answer.status_code >= 400 or not isinstance(content, dict):
        raise _unusable(answer)
    return content


def _unusable(answer: HttpResponse) -> UnavailableError:
    return UnavailableError(
        "Azure Resource Manager's answer cannot be used",
        native=f"{answer.request.method}: {answer.status_code}{_code(answer)}",
    )


def _rows(rows: object) -> list[dict[str, Any]]:
    if not isinstance(rows, list):
        return []
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]


def _reason(answer: HttpResponse) -> str:
    return f"{_TOLD[answer.status_code]} ({answer.status_code}{_code(answer)})"


def _code(answer: HttpResponse) -> str:
    try:
        code = answer.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" {code}" if isinstance(code, str) and _CODE.fullmatch(code) else ""
