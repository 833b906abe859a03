"""Keys in files: read, made, and refused with the cure where others may read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from eth_account import Account

from cli.keys import keys
from member.errors import KeyRefused
from member.keys import address_text, load_key, new_key

KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
PASSWORD = "pass wörd"

# Web3 Secret Storage, version 3, of KEY under PASSWORD, made by eth-account with few rounds.
KEYSTORE = json.dumps(Account.encrypt(KEY, PASSWORD, kdf="pbkdf2", iterations=16))


def private(file: Path, text: str) -> Path:
    file.touch(mode=0o600)
    file.write_text(text)
    return file


@pytest.mark.parametrize("text", [KEY.hex(), "0x" + KEY.hex(), f"  {KEY.hex().upper()}\n"])
def test_a_plain_key(tmp_path: Path, text: str) -> None:
    assert load_key(private(tmp_path / "key", text)) == KEY


def test_an_encrypted_key(tmp_path: Path) -> None:
    file = private(tmp_path / "key.json", KEYSTORE)
    password = private(tmp_path / "password", f"{PASSWORD}\nnotes\n")
    assert load_key(file, password) == KEY
    with pytest.raises(KeyRefused, match=r"key\.json is encrypted: name the file with its password$"):
        load_key(file)
    private(tmp_path / "password", "another\n")
    with pytest.raises(KeyRefused, match=r"key\.json: the password does not open it$"):
        load_key(file, password)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_what_others_may_read_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    file = private(tmp_path / "key", KEY.hex())
    file.chmod(mode)
    with pytest.raises(KeyRefused) as caught:
        load_key(file)
    assert str(caught.value) == f"{file} can be read by others (mode {mode:04o}): chmod 600 {file}"
    file.chmod(0o400)
    assert load_key(file) == KEY


def test_a_password_that_others_may_read(tmp_path: Path) -> None:
    file = private(tmp_path / "key.json", KEYSTORE)
    password = private(tmp_path / "password", PASSWORD)
    password.chmod(0o644)
    with pytest.raises(KeyRefused, match=r"password can be read by others \(mode 0644\): chmod 600"):
        load_key(file, password)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no private key of secp256k1"),
        ("zz" * 32, "must hold 64 hex digits, or an encrypted key as JSON"),
        (KEY.hex()[:-2], "holds no private key of secp256k1"),
        ("00" * 32, "holds no private key of secp256k1"),
        ("ff" * 32, "holds no private key of secp256k1"),
    ],
)
def test_what_is_no_key(tmp_path: Path, text: str, says: str) -> None:
    file = private(tmp_path / "key", text)
    with pytest.raises(KeyRefused) as caught:
        load_key(file)
    assert str(caught.value) == f"{file} {says}"
    assert caught.value.__suppress_context__  # what was read stands in no chained error


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "{}",
        '{"version": 1}',
        '{"version": 3}',
        '{"version": 3, "crypto": 7}',
        json.dumps(json.loads(KEYSTORE) | {"crypto": json.loads(KEYSTORE)["crypto"] | {"kdf": "none"}}),
    ],
)
def test_what_is_no_keystore(tmp_path: Path, document: str) -> None:
    file = private(tmp_path / "key.json", document)
    with pytest.raises(KeyRefused, match=r"key\.json: it is no encrypted key of version 3$"):
        load_key(file, private(tmp_path / "password", PASSWORD))


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(KeyRefused, match=r"^there is no file .*/key$"):
        load_key(tmp_path / "key")
    with pytest.raises(KeyRefused, match=r"cannot be read: Is a directory$"):
        load_key(tmp_path)


def test_a_new_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    address = new_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert address == address_text(load_key(file)) == Account.from_key(load_key(file)).address.lower()
    kept = file.read_bytes()
    with pytest.raises(KeyRefused, match=r"key exists: a key is never written over$"):
        new_key(file)
    assert file.read_bytes() == kept
    assert new_key(tmp_path / "other") != address


def test_a_new_encrypted_key_opens_elsewhere(tmp_path: Path) -> None:
    password = private(tmp_path / "password", PASSWORD + "\n")
    address = new_key(tmp_path / "key.json", password)
    opened = Account.decrypt((tmp_path / "key.json").read_text(), PASSWORD)
    assert Account.from_key(opened).address.lower() == address
    assert load_key(tmp_path / "key.json", password) == bytes(opened)
    with pytest.raises(KeyRefused, match="its first line, the password, is empty"):
        new_key(tmp_path / "third.json", private(tmp_path / "empty", "\n"))
    with pytest.raises(KeyRefused, match=r"cannot be written: No such file or directory$"):
        new_key(tmp_path / "missing" / "key")


def test_the_command_shows_addresses_and_never_keys(tmp_path: Path) -> None:
    file = tmp_path / "key"
    made = CliRunner().invoke(keys, ["new", "--out", str(file)])
    told = CliRunner().invoke(keys, ["address", str(file)])
    assert (made.exit_code, told.exit_code) == (0, 0)
    assert made.output == told.output == address_text(load_key(file)) + "\n"
    again = CliRunner().invoke(keys, ["new", "--out", str(file)])
    assert again.exit_code == 3
    assert again.output == f"Error: {file} exists: a key is never written over\n"
    file.chmod(0o644)
    refused = CliRunner().invoke(keys, ["address", str(file)])
    assert refused.exit_code == 3
    assert "chmod 600" in refused.output
