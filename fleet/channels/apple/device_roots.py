"""Whether an iPad is one of Apple's making: its certificate leads to one that this server was told to trust.

Invariants: only a CA vouches for another certificate; the work is bounded by the size of a message. Dates are not
looked at: the CA that Apple has iPads certified by has run out, and iPads go on to sign with what it issued.

Source: Apple's "Over-the-Air Profile Delivery and Configuration", profile service (the signer's issuer is "Apple iPhone
Device CA"); RFC 5280 section 6.1 for the rest.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fleet.channels.apple.cms import Signed
from fleet.mdm.authority import CertificateError
from fleet.mdm.ber import BerError
from fleet.mdm.certificates import Certificate, SignatureError, read_certificate, verify

_LONGEST = 4  # certificates between an iPad's and a trusted one


class DeviceRoots:
    """The certificates that iPads' lead to.

    Args:
        pem: one or several, PEM.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, pem: bytes) -> None:
        ders = [one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(pem)]
        self._roots = [read_certificate(der) for der in ders]

    def vouch(self, signed: Signed) -> None:
        """Check that who signed a message leads to one of ours.

        Raises:
            CertificateError: it does not.
        """
        certificate, others = signed.certificate, _authorities(signed.certificates)
        for _step in range(_LONGEST):
            if _issuer(certificate, self._roots) is not None:
                return
            issuer = _issuer(certificate, others)
            if issuer is None or issuer.der == certificate.der:
                break
            certificate = issuer
        raise CertificateError("foreign")


def _authorities(ders: Sequence[bytes]) -> list[Certificate]:
    """Return those that may vouch for others."""
    return [read_certificate(der) for der in ders if _is_authority(der)]


def _is_authority(der: bytes) -> bool:
    try:
        read_certificate(der)
        found = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.BasicConstraints)
    except (BerError, ValueError, x509.ExtensionNotFound):
        return False
    return found.value.ca


def _issuer(certificate: Certificate, candidates: Sequence[Certificate]) -> Certificate | None:
    """Return who of these has issued a certificate."""
    for one in candidates:
        if one.subject == certificate.issuer:
            try:
                verify(one.key, certificate.signature_algorithm, certificate.signature, certificate.signed, None)
            except SignatureError:
                continue
            return one
    return None
