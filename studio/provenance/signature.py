"""C2PA Content Credentials: a signed statement inside the file that it was made with AI, by this software.

The key and its certificates are made once per installation and never leave it. They are self-signed: a reader says
"valid, signer unknown", which proves that the picture was not changed since it left this studio, and not who made it.
All pictures of one installation carry the same certificate, and so can be told to come from the same place. No network
is used, so there is no trusted time stamp.

Source: C2PA Technical Specification 2.2 (claims, `c2pa.actions`, certificate profile); c2pa-python.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from studio import __version__
from studio.atomic import write_atomically
from studio.errors import GalleryError, SettingsError
from studio.gallery.provenance import COMPOSITE, digital_source_type

KEY_FILE = "content-credentials.pem"
_YEARS = 20
_OFFLINE = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a file's Content Credentials say.

    Attributes:
        state: "valid" (unchanged since it was signed), "invalid" (changed, or a broken signature) or "none".
        signer: The name in the certificate, which anybody can choose.
        software: What the claim says made it.
        problems: Codes of what is wrong; that the signer is not on a list of known ones is not wrong.
    """

    state: str
    signer: str = ""
    software: str = ""
    problems: tuple[str, ...] = ()


class Signer:
    """Signs pictures with an installation's key.

    Args:
        pem: Private key and certificates, as `installation_key` makes them.
    """

    def __init__(self, pem: bytes) -> None:
        end = b"-----END PRIVATE KEY-----\n"
        self._key, self._certificates = pem[: pem.index(end) + len(end)], pem[pem.index(end) + len(end) :]

    @classmethod
    def in_folder(cls, folder: Path) -> Signer:
        """Use the key in `folder`, made on first use and readable by its owner only; raises SettingsError."""
        _library()
        path = folder / KEY_FILE
        try:
            if not path.is_file():
                write_atomically(path, installation_key())
                os.chmod(path, 0o600)  # noqa: PTH101 -- as the write did; said again for a file copied from elsewhere
            return cls(path.read_bytes())
        except (OSError, GalleryError, ValueError) as error:
            raise SettingsError(
                f"The signing key {path.name} cannot be used: {error}.", "Delete it for a new one."
            ) from error

    def sign(self, data: bytes, media_type: str, settings: dict[str, Any]) -> bytes:
        """Return the file with a signed claim inside.

        Args:
            data: A PNG, JPEG or WebP file.
            media_type: "image/png", "image/jpeg" or "image/webp".
            settings: Of the request that made it; only whether another picture went in, and the model's name, are told.

        Raises:
            GalleryError: The library cannot sign it.
        """
        c2pa = _library()
        info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=self._certificates, private_key=self._key, ta_url=None)
        signed = io.BytesIO()
        try:
            with (
                c2pa.Context(settings=c2pa.Settings.from_dict(_OFFLINE)) as context,
                c2pa.Builder(json.dumps(claim(settings)), context) as builder,
                c2pa.Signer.from_info(info) as signer,
            ):
                builder.sign(signer, media_type, io.BytesIO(data), signed)
        except c2pa.C2paError as error:
            raise GalleryError(f"The picture cannot be signed: {error}.", "Switch content_credentials off.") from error
        return signed.getvalue()


def claim(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the claim that a picture made with `settings` gets."""
    source = digital_source_type(settings)
    action: dict[str, Any] = {
        "action": "c2pa.edited" if source == COMPOSITE else "c2pa.created",
        "digitalSourceType": source,
        "softwareAgent": {"name": "Tessera Studio", "version": __version__},
    }
    if isinstance(model := settings.get("model"), str) and model:
        action["parameters"] = {"model": model[:200]}
    actions = [action]
    if source == COMPOSITE:  # the first action must say how the file came to be
        actions = [
            {**action, "action": "c2pa.created"},
            {"action": "c2pa.edited", "softwareAgent": action["softwareAgent"]},
        ]
    return {
        "claim_generator_info": [{"name": "Tessera Studio", "version": __version__}],
        "title": "picture",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


def read(data: bytes, media_type: str) -> Credentials:
    """Return what the Content Credentials of a file say; anybody's, not only ours."""
    c2pa = _library()
    try:
        with (
            c2pa.Context(settings=c2pa.Settings.from_dict(_OFFLINE)) as context,
            c2pa.Reader(media_type, io.BytesIO(data), context=context) as reader,
        ):
            told, state = json.loads(reader.json()), str(reader.get_validation_state())
    except c2pa.C2paError as error:
        if "ManifestNotFound" in type(error).__name__ or "no JUMBF" in str(error):
            return Credentials("none")
        return Credentials("invalid", problems=(str(error)[:200],))
    manifest = told.get("manifests", {}).get(told.get("active_manifest", ""), {})
    makers = manifest.get("claim_generator_info") or [{}]
    problems = [it.get("code", "") for it in told.get("validation_status") or []]
    return Credentials(
        state="valid" if state in ("Valid", "Trusted") else "invalid",
        signer=str(manifest.get("signature_info", {}).get("common_name", "")),
        software=" ".join(filter(None, (str(makers[0].get(name, "")) for name in ("name", "version")))),
        problems=tuple(code for code in problems if code and code != "signingCredential.untrusted"),
    )


def installation_key() -> bytes:
    """Return a new P-256 key with its certificate and the certificate of the authority made for it alone, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(name: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, name),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "self-signed by this installation"),
            ]
        )

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named("Tessera Studio installation"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=365 * _YEARS))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    above = (
        certificate("Tessera Studio installation", authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(x509, signs_certificates=True), critical=True)
        .sign(authority, hashes.SHA256())
    )
    leaf = (
        certificate("Tessera Studio", own)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(x509, signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())  # the authority's key is forgotten here: it never signs anything else
    )
    pem = serialization.Encoding.PEM
    key = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key + leaf.public_bytes(pem) + above.public_bytes(pem)


def _usage(x509: ModuleType, *, signs_certificates: bool) -> Any:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    more = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    used = {"key_cert_sign", "crl_sign"} if signs_certificates else {"digital_signature"}
    return x509.KeyUsage(**{name: name in used for name in (*names, *more)})


def _library() -> ModuleType:
    try:
        import c2pa
        import cryptography  # noqa: F401 -- makes the key; missing together with c2pa
    except (ImportError, OSError, RuntimeError) as error:
        raise SettingsError(
            f"Content Credentials need c2pa-python, which cannot be loaded: {error}.",
            "Run: pip install c2pa-python, or switch the setting content_credentials off.",
        ) from error
    return c2pa  # type: ignore[no-any-return]
