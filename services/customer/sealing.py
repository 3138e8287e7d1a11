"""Names are sealed before they are stored (加密): AES-256-GCM under the installation's data key, masked in every answer.

The account number is authenticated with the name, so that a sealed name copied to another row does not open. A sealed name is
12 bytes of nonce and the ciphertext with its tag. `CRM_DATA_KEY_FILE` names the key; without it no sealed name can be read.
"""

import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class Seal:
    """Seals and opens names with a key of its own, derived from the data key."""

    def __init__(self, data_key: bytes) -> None:
        self._cipher = AESGCM(HKDF(SHA256(), length=32, salt=None, info=b"customer: names of accounts").derive(data_key))

    def close(self, account_no: str, name: str) -> bytes:
        """Seal a name; each time it looks different."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, name.encode(), account_no.encode())

    def open(self, account_no: str, sealed: bytes) -> str:
        """Open a sealed name. Raises cryptography's InvalidTag where key, account or bytes are not those it was sealed with."""
        return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], account_no.encode()).decode()


def masked(name: str) -> str:
    """Return what may be shown of a name: its first character."""
    return f"{name[0]}***"
