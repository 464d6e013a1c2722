"""The RSA keys of the tokens: one that signs, and the public halves of those that signed before it."""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from flask import Config
from jwt.algorithms import RSAAlgorithm

from flagstone.config import ConfigError

BITS_AT_LEAST = 2048


@dataclass
class Keys:
    private: RSAPrivateKey
    public: dict[str, RSAPublicKey]  # by `kid`; the signing one is the first

    @property
    def kid(self) -> str:
        return next(iter(self.public))

    def jwks(self) -> dict[str, Any]:
        """RFC 7517: what others verify our tokens with."""
        return {"keys": [jwk(key) | {"kid": kid, "use": "sig", "alg": "RS256"} for kid, key in self.public.items()]}


def load(config: Config) -> Keys:
    """From JWT_PRIVATE_KEY and JWT_PUBLIC_KEYS. Without the first: a key that lasts as long as this process."""
    try:
        pem = config["JWT_PRIVATE_KEY"]
        private = load_pem_private_key(pem.encode(), None) if pem else generate_private_key(65537, BITS_AT_LEAST)
        if not isinstance(private, RSAPrivateKey) or private.key_size < BITS_AT_LEAST:
            raise ValueError
    except ValueError, TypeError:
        expected = f"expected an RSA key of at least {BITS_AT_LEAST} bits as PEM, without a passphrase"
        raise ConfigError({"JWT_PRIVATE_KEY": expected}) from None
    try:
        blocks = re.findall(r"-----BEGIN .*?-----END [^-]+-----", config["JWT_PUBLIC_KEYS"] or "", re.DOTALL)
        former = [load_pem_public_key(block.encode()) for block in blocks]
        return Keys(private, {thumbprint(key): key for key in (private.public_key(), *former)})
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError({"JWT_PUBLIC_KEYS": "expected public RSA keys as PEM, one after the other"}) from error


def jwk(key: RSAPublicKey) -> dict[str, str]:
    fields = RSAAlgorithm.to_jwk(key, as_dict=True)
    return {name: fields[name] for name in ("e", "kty", "n")}


def thumbprint(key: RSAPublicKey) -> str:
    """RFC 7638: a name that follows from the key."""
    canonical = json.dumps(jwk(key), sort_keys=True, separators=(",", ":"))
    return urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()
