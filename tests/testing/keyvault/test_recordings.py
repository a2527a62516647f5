"""The vault on loopback answers as the service did when it was recorded.

Each recording is played again, request by request, and each answer is compared: its status, the
headers that clients read, the shape of its body, and the words of its error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from keyhier import base64url
from keyhier.testing.keyvault import KeyVault
from tests.conftest import MATERIAL
from tests.testing.keyvault import recording
from tests.testing.keyvault.jwks import rsa_jwk
from tests.testing.keyvault.raw_client import RawClient, Reply
from tests.testing.keyvault.recording import Recorded

FOLDERS: Final = ("keyvault-recordings", "keyvault-recordings-sdk")
LEFT_OUT: Final = {
    "KeyVaultKeyClient.CreateKeyWithRelasePolicyOptions": "secure key release is not offered",
    "errors": "no recording; see the test of errors",
}
FILES: Final = sorted(
    path
    for folder in FOLDERS
    for path in (MATERIAL / "azure" / folder).glob("*.json")
    if path.stem not in LEFT_OUT
)
# A delete that was done later than some that were begun later: by chance.
TOOK_LONGER: Final = {("/deletedkeys/GetDeletedKeys46", 404)}
DELAY: Final = 60
WRAP: Final = {"alg": "RSA-OAEP", "value": base64url.encode(b"a secret")}
# The service of today says it of every key; when most of these were recorded, it did not.
LATER: Final = {".attributes.exportable: bool"}
# A client sent the curve along with an RSA key, and got it back.
SENT_BY_MISTAKE: Final = {".key.crv: str"}


class Player:
    """Plays recordings on a vault and on a Managed HSM."""

    def __init__(self, vault: RawClient, hsm: RawClient) -> None:
        self._clients = {False: vault, True: hsm}
        self._versions: dict[str, str] = {}
        self._wrapped: str | None = None
        self.next: str | None = None

    def play(self, recorded: Recorded) -> Reply:
        client = self._clients[recorded.of_hsm]
        # A delete and a recovery are done when the recording shows them done, and not before.
        if recorded.status == 200 and recorded.method in {"GET", "POST", "DELETE"}:
            client.vault.clock.advance(DELAY)
        path = recorded.path
        for theirs, ours in self._versions.items():
            path = path.replace(theirs, ours)
        if "$skiptoken" in recorded.query:
            path = self.next or path
        elif recorded.status == 401:
            client.token = None
        verb = path.rpartition("/")[2]
        if verb == "unwrapkey" and self._wrapped is None:
            # What the recorded client wrapped by itself, nobody else can unwrap.
            wrapped = client.post(path.replace(verb, "wrapkey"), WRAP).document
            self._wrapped = wrapped["value"]
        reply = client.send(
            recorded.method, path, self._body(recorded), version=self._version(recorded)
        )
        client.token = client.vault.tenant.token()
        self._learn(recorded, reply, client.vault.url)
        return reply

    def _version(self, recorded: Recorded) -> str | None:
        return None if "$skiptoken" in recorded.query else "7.4"

    def _body(self, recorded: Recorded) -> object:
        verb = recorded.path.rpartition("/")[2].lower()
        if verb in {"wrapkey", "encrypt"}:
            return WRAP
        if verb in {"unwrapkey", "decrypt"}:
            return WRAP | {"value": self._wrapped}
        if recorded.request is not None or recorded.status == 401:
            return recorded.request
        shown = recorded.document or {}
        if recorded.status == 409:
            return {"kty": "EC"}
        if verb == "create":
            return {name: shown["key"].get(name) for name in ("kty", "crv", "key_ops")}
        if recorded.method == "PUT" and "/keys/" in recorded.path:
            return {"key": rsa_jwk(key_ops=shown["key"]["key_ops"])}
        if recorded.method in {"PUT", "PATCH"}:
            members = {"value", "contentType", "tags", "attributes"}
            return {name: each for name, each in shown.items() if name in members}
        return None

    def _learn(self, recorded: Recorded, reply: Reply, url: str) -> None:
        for theirs, ours in zip(_ids(recorded.document), _ids(reply.document), strict=False):
            self._versions[theirs] = ours
        document = reply.document if isinstance(reply.document, dict) else {}
        if set(document) == {"kid", "value"}:
            self._wrapped = document["value"]
        if "nextLink" in document:
            self.next = (document["nextLink"] or "").removeprefix(url) or None


def _ids(document: Any) -> list[str]:
    return re.findall(r"/(?:keys|secrets)/[^/]+/([0-9a-f]{32})", json.dumps(document))


@pytest.fixture
def player(signing_key: RSAPrivateKey) -> Iterator[Player]:
    with (
        KeyVault(delay=DELAY, region="westus2", signing_key=signing_key) as vault,
        KeyVault(delay=DELAY, managed_hsm=True, signing_key=signing_key) as managed_hsm,
        RawClient(vault) as client,
        RawClient(managed_hsm) as hsm,
    ):
        yield Player(client, hsm)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_recording_plays_the_same(path: Path, player: Player, material: Path) -> None:
    for recorded in recording.read(path):
        if "$skiptoken" in recorded.query and player.next is None:
            continue
        if (recorded.path, recorded.status) in TOOK_LONGER:
            continue
        reply = player.play(recorded)
        what = f"{recorded.method} {recorded.path}"
        assert reply.status == recorded.status, what
        _compare_headers(recorded, reply, what)
        _compare_bodies(recorded, reply, what)


def test_the_page_says_how_many_recorded_answers_there_are(material: Path) -> None:
    answers = [recorded for path in FILES for recorded in recording.read(path)]
    compared = [each for each in answers if (each.path, each.status) not in TOOK_LONGER]
    route = re.compile(r"^(/\w+)/[^/]+(?:/[0-9a-f]{32})?")
    routes = {(each.method, route.sub(r"\1/-", each.path).lower()) for each in answers}
    page = (Path(__file__).parents[3] / "docs" / "keyvault-on-loopback.md").read_text("utf-8")
    (told,) = re.findall(r"more than (\d+) recorded answers on (\d+) routes", page)
    assert (len(compared) > int(told[0]), len(routes)) == (True, int(told[1]))


def _compare_headers(recorded: Recorded, reply: Reply, what: str) -> None:
    ours = {name.lower(): text for name, text in reply.headers.items()}
    fixed = recorded.fixed_headers
    assert {name: ours.get(name) for name in fixed} == fixed, what
    assert recorded.own_headers <= ours.keys(), what
    assert {"x-ms-keyvault-region", "x-ms-request-id", "content-length"} <= ours.keys(), what
    if challenge := recorded.headers.get("www-authenticate"):
        pattern = re.sub(r'"[^"]*"', r'"[^"]+"', challenge)
        assert re.fullmatch(pattern, ours["www-authenticate"]), what


def _compare_bodies(recorded: Recorded, reply: Reply, what: str) -> None:
    if recorded.status >= 400 or recorded.document is None:
        expected = json.dumps(recorded.document)
        assert json.loads(recording.masked(expected)) == reply.document, what
        return
    theirs = recording.shape(recorded.document)
    if ".key.n: str" in theirs:
        theirs -= SENT_BY_MISTAKE
    ours = recording.shape(reply.document)
    if "nextLink" in recorded.document:
        # How much there is to list differs, and so does where a page ends.
        theirs = {each for each in theirs if re.match(r"\.value\[\]\.(?!tags)", each)}
        ours = {each for each in ours if each.startswith(".value[].")} or theirs
    assert theirs <= ours, what
    assert ours - theirs <= LATER, what


def test_the_bodies_of_a_managed_hsm_have_their_members_in_order(hsm: RawClient) -> None:
    document = hsm.create("kek", "RSA-HSM")
    assert list(document) == sorted(document)
    assert list(document["key"]) == sorted(document["key"])


# What the list of errors has, and why it cannot come from a vault without permissions.
NO_PERMISSIONS: Final = {"ForbiddenByRbac", "ForbiddenByFirewall"}


def _provoked(client: RawClient) -> Iterator[Reply]:
    """Yield one answer of every error that the list has."""
    client.token = None
    yield client.get("/keys/NAME")
    client.token = client.vault.tenant.token()
    yield client.get("/keys/NAME")
    yield client.get("/deletedkeys/NAME")
    yield client.get("/keys/key$%23()!3789901543")
    client.import_rsa("NAME")
    client.patch("/keys/NAME", {"key_ops": ["wrapKey"]})
    sent = {"alg": "RSA-OAEP", "value": "AAAA"}
    yield client.post("/keys/NAME/decrypt", sent)
    client.patch("/keys/NAME", {"attributes": {"enabled": False}})
    yield client.post("/keys/NAME/unwrapkey", sent)
    client.put("/secrets/NAME", {"value": "x", "attributes": {"enabled": False}})
    yield client.get("/secrets/NAME")
    client.delete("/secrets/NAME")
    client.delete("/keys/NAME")
    client.vault.clock.advance(DELAY)
    yield client.put("/secrets/NAME", {"value": "y"})
    client.post("/deletedsecrets/NAME/recover")
    yield client.put("/secrets/NAME", {"value": "y"})
    client.post("/deletedkeys/NAME/recover")
    yield client.post("/deletedkeys/NAME/recover")
    client.vault.faults.clear()
    client.vault.throttle()
    for _ in range(21):
        reply = client.post("/keys/other/create", {"kty": "EC"})
    yield reply


def _words(status: int, document: Any) -> tuple[int, str, str | None, str]:
    error = document["error"]
    inner = error.get("innererror", {}).get("code")
    message = error["message"].replace("NAME[/VERSION]", "NAME").replace("secret-sauce", "NAME")
    message = message.replace("'KID'", "'NAME'").replace("<op>", "unwrapKey")
    return status, error["code"], inner, message


def test_errors_have_the_words_of_the_service(material: Path) -> None:
    listed = json.loads((material / "azure" / FOLDERS[1] / "errors.json").read_text())
    with KeyVault(delay=DELAY) as vault, RawClient(vault) as client:
        ours = {_words(reply.status, reply.document) for reply in _provoked(client)}
    theirs = {_words(each["status"], each["body"]) for each in listed}
    missing = {each for each in theirs - ours if each[2] not in NO_PERMISSIONS}
    assert not missing
