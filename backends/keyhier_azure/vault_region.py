"""A vault's region, as each of its answers names it, the one that asks for a token included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from azure.core import PipelineClient
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse

from keyhier.errors import IntegrityError, InvalidInputError
from keyhier.uri import VaultUri
from keyhier_azure.address import VaultAddress
from keyhier_azure.session import LeanSession, verification_and_proxies

if TYPE_CHECKING:
    from keyhier_azure.arm_address import ArmAddress

__all__ = ["vault_region"]

_HEADER: Final = "x-ms-keyvault-region"


def vault_region(host: str, manager: ArmAddress) -> str | None:
    """Return the region of the vault at a host, or None where nobody says.

    No token is sent, and only hosts of vaults are asked; one on loopback only where the resource
    manager is there, too.
    """
    query = f"?ca-file={manager.ca_file}" if manager.loopback and manager.ca_file else ""
    try:
        address = VaultAddress.from_uri(VaultUri.parse(f"https://{host}{query}"))
    except InvalidInputError:
        return None
    if address.loopback and not manager.loopback:
        return None
    verify, proxies = verification_and_proxies(address)
    transport = RequestsTransport(
        session=LeanSession(), use_env_settings=False, connection_verify=verify
    )
    client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
        address.url, policies=[], transport=transport
    )
    with client:
        try:
            answer = client.send_request(
                HttpRequest("GET", f"{address.url}/keys?api-version=7.4"),
                proxies=proxies,
                connection_timeout=5,
                read_timeout=10,
            )
        except (AzureError, IntegrityError, OSError, ValueError):
            return None
        return answer.headers.get(_HEADER) or None
