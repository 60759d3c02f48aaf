"""Certificates that a server forgets to send, trusted for that server only.

A server that leaves out the intermediate certificate of its chain is refused by every client that does not know it
from elsewhere.  The file given here completes the chain.  It is no anchor of trust: the chain must still end in a root
that this machine trusts anyway, and no other host gains anything.
"""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.workspace.errors import UserError

Certificates = Mapping[str, Path]
"""Host (lower case) → a PEM file with what it forgets to send."""


def read_certificates(pairs: Sequence[tuple[str, str]]) -> Certificates:
    """``(host, file)`` pairs as a mapping; every file is looked into before anything is fetched."""
    certificates: dict[str, Path] = {}
    for host, file in pairs:
        if host in certificates:
            raise UserError("one file of certificates for each host", f"two for {host}", "put both into one PEM file")
        certificates[host] = Path(file)
        complete(ssl.create_default_context(), certificates[host])
    return certificates


def complete(context: ssl.SSLContext, file: Path) -> ssl.SSLContext:
    """Let a context use the certificates of ``file`` to complete a chain, but not to end it."""
    context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN  # Python 3.13 sets it: any certificate would end a chain
    try:
        context.load_verify_locations(cafile=file)
    except FileNotFoundError:
        found, step = "no such file", "correct `download.certificates` under params/ and run `make params`"
    except (ssl.SSLError, OSError) as error:
        found = f"no certificate in it ({getattr(error, 'reason', None) or error})"
        step = "convert it: `openssl x509 -inform DER -in <file> -out <file>.pem`"
    else:
        return context
    raise UserError(f"PEM certificates in {file}", found, step)
