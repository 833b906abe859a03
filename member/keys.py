"""Private keys in files: encrypted (Web3 Secret Storage, version 3) with a password file, or plain in hex.

A file that others on the machine may read is refused. No error text holds anything of what is in a file.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any, Final

from coincurve import PrivateKey

from member.errors import KeyRefused
from settlement import typed_data

KEY_BYTES: Final = 32
_ITERATIONS: Final = 600_000  # PBKDF2-HMAC-SHA256; a fraction of a second
_MODE: Final = 0o600


def load_key(file: Path, password_file: Path | None = None) -> bytes:
    """The 32 bytes of a private key; `password_file` for an encrypted one, whose first line is the password.

    Raises KeyRefused, which says what to do, where a file is missing, readable by others or no key.
    """
    text = _secret_text(file)
    if not text.startswith("{"):
        return _plain_key(file, text)
    if password_file is None:
        raise KeyRefused(f"{file} is encrypted: name the file with its password")
    password = _secret_text(password_file).split("\n", 1)[0].rstrip("\r")
    return _checked(file, _decrypted(file, text, password))


def new_key(file: Path, password_file: Path | None = None) -> str:
    """Makes a key and writes it to a new file of mode 0600, encrypted where there is a password file.

    Returns its address as 0x text. Raises KeyRefused where the file exists already or cannot be written.
    """
    key = _random_key()
    if password_file is None:
        text = f"0x{key.hex()}\n"
    else:
        password = _secret_text(password_file).split("\n", 1)[0].rstrip("\r")
        if not password:
            raise KeyRefused(f"{password_file}: its first line, the password, is empty")
        text = _encrypted(key, password)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    except FileExistsError:
        raise KeyRefused(f"{file} exists: a key is never written over") from None
    except OSError as error:
        raise KeyRefused(f"{file} cannot be written: {error.strerror}") from error
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    return address_text(key)


def address_text(key: bytes) -> str:
    """The 0x address of a private key."""
    return "0x" + typed_data.address_of(key).hex()


def _secret_text(file: Path) -> str:
    """The text of a file that only its owner may read."""
    try:
        with file.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeyRefused(f"{file} can be read by others (mode {mode:04o}): chmod 600 {file}")
            return stream.read().decode("utf-8").strip()
    except FileNotFoundError:
        raise KeyRefused(f"there is no file {file}") from None
    except OSError as error:
        raise KeyRefused(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise KeyRefused(f"{file} is no text") from None


def _plain_key(file: Path, text: str) -> bytes:
    try:
        return _checked(file, bytes.fromhex(text.removeprefix("0x")))
    except ValueError:
        raise KeyRefused(f"{file} must hold {2 * KEY_BYTES} hex digits, or an encrypted key as JSON") from None


def _checked(file: Path, key: bytes) -> bytes:
    try:
        if len(key) != KEY_BYTES:
            raise ValueError(len(key))
        PrivateKey(key)
    except ValueError:
        # `from None`: the chained error must not carry the bytes into a log.
        raise KeyRefused(f"{file} holds no private key of secp256k1") from None
    return key


def _decrypted(file: Path, text: str, password: str) -> bytes:
    # A third of a second to import, and only needed for encrypted keys.
    from eth_keyfile.keyfile import decode_keyfile_json

    try:
        key: bytes = decode_keyfile_json(json.loads(text), password.encode())
    except ValueError as error:
        wrong = "MAC mismatch" in str(error)
        what = "the password does not open it" if wrong else "it is no encrypted key of version 3"
        raise KeyRefused(f"{file}: {what}") from None
    except (KeyError, TypeError, NotImplementedError, AttributeError):
        raise KeyRefused(f"{file}: it is no encrypted key of version 3") from None
    return key


def _encrypted(key: bytes, password: str) -> str:
    from eth_keyfile.keyfile import create_keyfile_json

    made: dict[str, Any] = create_keyfile_json(key, password.encode(), kdf="pbkdf2", iterations=_ITERATIONS)
    return json.dumps(made) + "\n"


def _random_key() -> bytes:
    while True:
        key = secrets.token_bytes(KEY_BYTES)
        try:
            PrivateKey(key)
        except ValueError:  # 0 or beyond the order: once in 2^128
            continue
        return key
