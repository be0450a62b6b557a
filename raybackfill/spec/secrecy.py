"""Decides what looks like a secret: configs are stored with every plan, so none may stand in one."""

from __future__ import annotations

import re

from raybackfill.spec.nodes import ListNode, MappingNode, Node, Place, ScalarNode

_BELONGS = (
    "take it out (and replace it, if it was ever stored): secrets come from the standard AWS chain, "
    "which is the environment, ~/.aws, or the instance profile"
)

_BELONGS_TO_A_DATABASE = (
    "take it out (and replace it, if it was ever stored): a password belongs where the database's driver "
    "looks for one, such as PGPASSWORD or ~/.pgpass; or put the URL into an environment variable, and give "
    "that one's name: database_env: NAME"
)

_WORDS = frozenset({"secret", "secrets", "password", "passwords", "passwd", "passphrase", "credential"})
_JOINED = ("accesskey", "apikey", "privatekey", "secretkey", "credentials", "sastoken", "accountkey")

_VALUES = (
    (re.compile(r"(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])"), "an AWS access key ID"),
    (re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"), "a private key"),
    (re.compile(r"(?i)secret_?access_?key['\"]?\s*[=:]"), "an AWS secret key"),
    (re.compile(r"(?i)[?&](x-amz-signature|x-amz-security-token|signature|sig)="), "a signed URL"),
)
_URLS = (
    (re.compile(r"://[^\s/?#]*@"), "a user or password in a URL"),
    # Secret keys may hold slashes, so that the @ comes after what would be the host and a port.
    (re.compile(r"://[^\s/?#:\[]*:(?!\d{1,5}(?:[/?#\s]|$))\S*@"), "a user or password in a URL"),
)
# A user's name is no secret to a database, whose driver finds the password by it.
_DATABASE_URLS = (
    (re.compile(r"://[^:/]*:[^@]*@"), "a password in a URL"),
    (re.compile(r"(?i)(passw|passphrase|pwd|secret|token)\w*(=|%3D)"), "a password in a URL"),
)
_RECONCILE = re.compile(r"verify\.reconcile\b.*")
_DATABASE = re.compile(r"verify\.reconcile\[\d+\]\.(source|target)\.database")

_NAMES_OF_DATA = re.compile(
    r"(source|target|transform\.tables\.[^.]+)\.schema|scope\.(include|exclude)"
    r"|target\.partition_by|transform\.tables"
)
"""Mappings whose keys are the user's columns and tables: a column may well be called `token`."""


def refuse_secrets(node: Node, place: Place) -> None:
    """SpecError where a key or a value looks like a secret; the message never shows the value."""
    if isinstance(node, ScalarNode):
        refuse_secret_text(node.text, place)
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            refuse_secrets(item, place.item(index, item.origin))
    else:
        _refuse_in_mapping(node, place)


def refuse_secret_text(text: str, place: Place) -> None:
    """SpecError where the text holds what has the shape of a secret."""
    urls = _DATABASE_URLS if _DATABASE.fullmatch(place.key) else _URLS
    for pattern, noun in (*_VALUES, *urls):
        if pattern.search(text):
            raise place.error(f"holds what looks like {noun}", _belongs(place))


def _belongs(place: Place) -> str:
    return _BELONGS_TO_A_DATABASE if _RECONCILE.fullmatch(place.key) else _BELONGS


def _refuse_in_mapping(node: MappingNode, place: Place) -> None:
    names_of_data = _NAMES_OF_DATA.fullmatch(place.key) is not None
    for key, value in node.entries.items():
        # Checked before the key becomes part of a place, which messages show.
        refuse_secret_text(key, Place(node.origins[key], place.key))
        inner = place.child(key, node.origins[key])
        if not names_of_data and _names_a_secret(key):
            raise inner.error("is the name of a secret, and none may stand here", _belongs(inner))
        refuse_secrets(value, inner)


def _names_a_secret(key: str) -> bool:
    """Whether a key is called like a secret. `max_tokens` and `token_count` are not."""
    words = [word.lower() for word in re.findall(r"[A-Z]*[a-z0-9]+|[A-Z]+", key)]
    joined = "".join(words)
    return bool(_WORDS & set(words)) or words[-1:] == ["token"] or any(name in joined for name in _JOINED)
