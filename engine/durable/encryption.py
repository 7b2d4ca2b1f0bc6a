"""Encryption at rest: one key that somebody else keeps, and the AES-256-GCM of the journal.

A key is 32 bytes, given as 64 hexadecimal digits or as base64, in an environment variable or a file; it is never
written anywhere. What is encrypted is never under the key itself but under one derived from it (HKDF-SHA256) and from
16 random bytes that stand in the clear beside the text, with a random nonce each time: so no pair of key and nonce
comes up twice, however many frames a bank writes in a year. Everything that is not secret but must not be exchanged
(sequence numbers, kinds, lengths) goes in as associated data.

A wrong key is told apart from damage: 8 bytes derived from key and salt stand beside the salt.

Not here: what is encrypted (journal/ and encrypted_disk.py), and pseudonyms (config/pseudonyms.py).
"""

import base64
import binascii
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from config.errors import ConfigError, StateError
from engine.clock import random_bytes

KEY_BYTES = 32
SALT_BYTES = 16
CHECK_BYTES = 8
NONCE_BYTES = 12
TAG_BYTES = 16
BLOCK_BYTES = 16
MANY_BYTES = 4_096  # fewer the system gives as fast
ABOUT_KEYS = "a key is 32 random bytes, as 64 hexadecimal digits or in base64"
FIX_KEYS = "make one with `openssl rand -hex 32` and keep it where the data is not"


class WrongKeyError(StateError):
    """The key is a key, but not the one that was written with."""


class Cipher:
    """Encrypts and decrypts under one derived key.

    salt  : 16 bytes, random, stored beside the text
    check : 8 bytes, stored beside the text, by which a wrong key is known
    """

    def __init__(self, key: bytes, salt: bytes, purpose: bytes = b"weir journal") -> None:
        assert len(key) == KEY_BYTES
        assert len(salt) == SALT_BYTES
        derived = HKDF(SHA256(), KEY_BYTES + CHECK_BYTES, salt, purpose).derive(key)
        self.salt = salt
        self.check = derived[KEY_BYTES:]
        self._gcm = AESGCM(derived[:KEY_BYTES])

    @classmethod
    def reading(cls, key: bytes, salt: bytes, check: bytes, where: str) -> Self:
        """The cipher of what was written with `salt` and `check`; `WrongKeyError` if `key` is another one."""
        cipher = cls(key, salt)
        if cipher.check != check:
            raise WrongKeyError(
                "the key is not the one that this was encrypted with",
                where,
                why=f"its check is {cipher.check.hex()}, that of the file is {check.hex()}",
                fix="give the key of the time when it was written (`encryption:` in weir.yaml)",
            )
        return cipher

    def encrypt(
        self, text: bytes, about: bytes, chance: Callable[[int], bytes] = random_bytes
    ) -> bytes:
        """Nonce, encrypted text and tag: 28 bytes more than `text`; `about` is bound to it but not stored."""
        nonce = chance(NONCE_BYTES)
        return nonce + self._gcm.encrypt(nonce, text, about)

    def decrypt(self, sealed: bytes, about: bytes) -> bytes:
        """The text again. Raises `ValueError` if one bit of it, of its tag or of `about` has changed."""
        try:
            return self._gcm.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about)
        except (InvalidTag, ValueError):
            raise ValueError("it does not decrypt: it was changed after it was encrypted") from None


def many_random_bytes(n: int, chance: Callable[[int], bytes] = random_bytes) -> bytes:
    """`n` bytes that nobody can guess, of 48 that `chance` gives: AES-256 in counter mode over zeros.

    That is how CTR_DRBG (NIST SP 800-90A) makes its output. For 64 KiB the system takes eight times as long.
    """
    if n < MANY_BYTES:
        return chance(n)
    seed = chance(KEY_BYTES + BLOCK_BYTES)
    cipher = BlockCipher(AES(seed[:KEY_BYTES]), CTR(seed[KEY_BYTES:]))
    return cipher.encryptor().update(bytes(n))


def read_key(env: str = "", file: str | Path = "") -> bytes | None:
    """The key from environment variable `env` or from `file`; None if neither is named. `ConfigError` if unusable."""
    if not env and not file:
        return None
    if env and file:
        raise ConfigError(
            "both `key_env` and `key_file` are given",
            why="two keys could differ, and nobody would know which one counts",
            fix="name one of them under `encryption:`",
        )
    if env:
        text = os.environ.get(env)
        if text is None:
            raise ConfigError(
                f"the environment variable `{env}` is not set",
                why="`encryption: key_env` says that it holds the key",
                fix=f"set {env}; {ABOUT_KEYS}",
            )
        return parse_key(text, f"${env}")
    try:
        return parse_key(Path(file).read_text(encoding="ascii", errors="replace"), str(file))
    except OSError as error:
        raise ConfigError(
            f"the key cannot be read: {error.strerror}",
            str(file),
            why="`encryption: key_file` says that it holds the key",
            fix="name a file that the engine may read",
        ) from None


def parse_key(text: str, where: str) -> bytes:
    """32 bytes of hexadecimal digits or base64; the message of a refusal never shows the text."""
    text = text.strip()
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        return bytes.fromhex(text)
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"not a key: {len(text)} characters", where, why=ABOUT_KEYS, fix=FIX_KEYS)
    return key
