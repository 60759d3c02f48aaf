"""A server that forgets its intermediate certificate is read once that is given, and nothing else gains by it."""

import datetime
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stages.sources.certificates import read_certificates
from stages.sources.locations import Client
from stages.sources.openers import open_location
from stages.workspace.errors import UserError

BODY = b"published"
HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Signed:
    """A certificate and the key that belongs to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def write(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path


def sign(name: str, by: Signed | None, hosts: Sequence[str] = ()) -> Signed:
    """An authority signed ``by`` another, or by itself; a server's certificate where it names ``hosts``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, signer = (by.certificate.subject, by.key) if by else (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    theirs = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    authority = x509.BasicConstraints(ca=not hosts, path_length=None)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    usage |= {"decipher_only": False, "digital_signature": True}
    usage |= {"key_cert_sign": not hosts, "crl_sign": not hosts}
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - HOUR).not_valid_after(now + HOUR)
    extensions = [(authority, True), (x509.KeyUsage(**usage), True), (own, False), (theirs, False)]
    if hosts:
        named = [x509.IPAddress(ipaddress.ip_address(h)) if h[0].isdigit() else x509.DNSName(h) for h in hosts]
        extensions.append((x509.SubjectAlternativeName(named), False))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return Signed(builder.sign(signer, hashes.SHA256()), key)


@dataclass(frozen=True)
class Chain:
    """A server that sends its own certificate only, and the files of those above it."""

    url: str
    root: Path
    intermediate: Path


@pytest.fixture
def forgetful(tmp_path, publisher, workplace, monkeypatch, request) -> Iterator[Chain]:
    root = sign("root", None)
    intermediate = sign("intermediate", root)
    leaf = sign("leaf", intermediate, getattr(request, "param", ("localhost", "127.0.0.1")))
    secret, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key = tmp_path / "key.pem"
    key.write_bytes(leaf.key.private_bytes(serialization.Encoding.PEM, secret, plain))
    server = type(publisher)()
    server.files["a.zip"] = BODY
    server.speak_tls(leaf.write(tmp_path / "leaf.pem"), key)
    server.start()
    files = root.write(tmp_path / "root.pem"), intermediate.write(tmp_path / "intermediate.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files[0]))
    yield Chain(server.url("a.zip"), *files)
    server.stop()


def read(url: str, *pairs: tuple[str, Path]) -> bytes:
    client = Client(20.0, read_certificates([(host, str(file)) for host, file in pairs]))
    with open_location(url, start=0, tag="", client=client) as body:
        return b"".join(body.chunks)


def test_a_chain_with_a_gap_is_refused_and_the_message_names_the_parameter(forgetful):
    with pytest.raises(UserError) as caught:
        read(forgetful.url)
    assert "unable to get local issuer certificate" in caught.value.found
    for answer in ("download.certificates", "REQUESTS_CA_BUNDLE", "never switched off"):
        assert answer in caught.value.next_step


def test_the_missing_certificate_completes_the_chain(forgetful):
    assert read(forgetful.url, ("127.0.0.1", forgetful.intermediate)) == BODY


def test_it_counts_for_the_named_host_only(forgetful):
    elsewhere = forgetful.url.replace("127.0.0.1", "localhost")
    with pytest.raises(UserError, match="does not trust"):
        read(elsewhere, ("127.0.0.1", forgetful.intermediate))
    assert read(elsewhere, ("localhost", forgetful.intermediate)) == BODY


def test_it_counts_for_the_named_host_wherever_a_redirect_comes_from(forgetful, publisher, answer):
    publisher.always["a.zip"] = answer(302, b"", headers={"Location": forgetful.url})
    assert read(publisher.url("a.zip"), ("127.0.0.1", forgetful.intermediate)) == BODY
    elsewhere = forgetful.url.replace("127.0.0.1", "localhost")
    publisher.always["a.zip"] = answer(302, b"", headers={"Location": elsewhere})
    with pytest.raises(UserError, match="does not trust"):
        read(publisher.url("a.zip"), ("127.0.0.1", forgetful.intermediate))


def test_it_is_no_anchor_of_trust_the_root_must_be_known(forgetful, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sign("another root", None).write(tmp_path / "another.pem")))
    with pytest.raises(UserError, match="does not trust"):
        read(forgetful.url, ("127.0.0.1", forgetful.intermediate))


@pytest.mark.parametrize("forgetful", [("example.invalid",)], indirect=True)
def test_a_certificate_for_another_name_is_still_refused(forgetful):
    with pytest.raises(UserError, match=r"not valid for '127\.0\.0\.1'"):
        read(forgetful.url, ("127.0.0.1", forgetful.intermediate))


@pytest.mark.parametrize(
    ("content", "found"), [(None, "no such file"), (b"", "no certificate"), (b"PK\x03", "no cert")]
)
def test_a_file_without_certificates_is_refused_before_anything_is_fetched(workplace, content, found):
    if content is not None:
        Path("extra.pem").write_bytes(content)
    with pytest.raises(UserError, match=found):
        read_certificates([("example.invalid", "extra.pem")])


def test_one_host_has_one_file(forgetful):
    with pytest.raises(UserError, match="two for"):
        read_certificates([("example.invalid", str(forgetful.intermediate))] * 2)
