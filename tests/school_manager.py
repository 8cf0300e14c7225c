"""Apple School Manager, the side of it that a server of ours sees: a stand-in. Own code, for tests.

``token_file`` makes the server token's file as the portal gives it.
"""

import base64
import json
from collections.abc import Mapping
from datetime import datetime

from cryptography import x509

from tests.apple_messages import Shape, enveloped

DER = Shape()
CREDENTIALS = {
    "consumer_key": "CK_48dd68d198350f51258e885ce9a5c37ab7f98543c4a697323d75682a6c10a32501cb247e3db08105db868f73f2c972bd",
    "consumer_secret": "CS_dc0a+/=0fc51",
    "access_token": "AT_O8473841",
    "access_secret": "AS_cd4b%20&x",
}


def token_file(
    certificate: bytes,
    *,
    expires_at: datetime,
    cipher: str = "3des",
    shape: Shape = DER,
    but: Mapping[str, str | None] | None = None,
) -> bytes:
    """Return the file of a server token.

    Args:
        certificate: what was uploaded, PEM.
        expires_at: until when it counts.
        cipher: one of ``CIPHERS``.
        shape: how it is encoded.
        but: what is otherwise than in a sound token; None takes a field away.
    """
    told = {**CREDENTIALS, "access_token_expiry": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"), **(but or {})}
    text = json.dumps({name: value for name, value in told.items() if value is not None})
    inside = (
        "Content-Type: text/plain;charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        f"-----BEGIN MESSAGE-----\r\n{text[:60]}\r\n{text[60:]}\r\n-----END MESSAGE-----\r\n"
    )
    envelope = enveloped(inside.encode(), x509.load_pem_x509_certificate(certificate), cipher, shape)
    return (
        b'Content-Type: application/pkcs7-mime; name="smime.p7m"; smime-type=enveloped-data\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="smime.p7m"\r\nContent-Description: S/MIME Encrypted Message\r\n\r\n'
        + base64.encodebytes(envelope).replace(b"\n", b"\r\n")
    )
