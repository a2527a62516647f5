"""What carries the requests: connections that are kept, TLS that is always verified."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse

from keyhier.errors import IntegrityError, NotFoundError
from keyhier_azure.transport import MAX_BYTES

if TYPE_CHECKING:
    from keyhier_azure.address import VaultAddress
    from keyhier_azure.arm_address import ArmAddress

__all__ = ["LeanSession", "verification_and_proxies"]

_POOL: Final = 64  # Connections that are kept, more than threads that anybody will use.


class LeanSession(Session):
    """A session of `requests` for what the SDK's pipeline has made ready already.

    The usual one reads the environment, merges settings and cookies and parses the URL once more
    at each request, which takes longer than the rest of it. A vault sets no cookies.
    """

    def __init__(self) -> None:
        """Keep connections to ``https:`` and know no other scheme."""
        super().__init__()
        self.trust_env = False
        self.adapters.clear()
        self.mount("https://", HTTPAdapter(pool_maxsize=_POOL))

    def request(self, method: str, url: str, **options: Any) -> Response:  # type: ignore[override]  # Its callers name every argument.
        """Send what is complete as it is; redirections are not followed.

        Raises:
            IntegrityError: the answer is longer than any that is asked for.
        """
        prepared = PreparedRequest()
        prepared.method, prepared.url, prepared.body = method, url, options["data"]
        prepared.headers = CaseInsensitiveDict(options["headers"])
        response = self.get_adapter(url).send(
            prepared,
            timeout=options["timeout"],
            verify=options["verify"],
            cert=options["cert"],
            proxies=options["proxies"],
        )
        content = response.raw.read(MAX_BYTES + 1, decode_content=True)
        if len(content) > MAX_BYTES:
            response.close()
            raise IntegrityError(f"an answer has more than {MAX_BYTES} bytes")
        response.raw.release_conn()
        response.raw = HTTPResponse(BytesIO(content), preload_content=False)
        return response


def verification_and_proxies(
    address: VaultAddress | ArmAddress,
) -> tuple[str | bool, dict[str, str]]:
    """Return what vouches for the server's certificate, and the proxies of the environment.

    The certificates are those of ``ca-file``, else of REQUESTS_CA_BUNDLE, else the public ones.

    Raises:
        NotFoundError: there is no such file.
    """
    with Session() as session:
        found = session.merge_environment_settings(address.url, {}, None, None, None)
    if address.ca_file is not None:
        if not address.ca_file.is_file():
            raise NotFoundError(f"there is no file {address.ca_file} with certificates")
        return str(address.ca_file), dict(found["proxies"])
    return found["verify"] or True, dict(found["proxies"])
