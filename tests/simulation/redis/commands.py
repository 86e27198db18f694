"""Single commands on a keyspace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.simulation.redis.keyspace import Entry, Hash, Keyspace
from tests.simulation.redis.replies import (
    NOT_AN_INTEGER,
    OK,
    OUT_OF_MEMORY,
    SYNTAX,
    WRONG_TYPE,
    ErrorReply,
    Reply,
    wrong_arguments,
)

Arguments = Sequence[bytes]
Handler = Callable[[Keyspace, Arguments], Reply]


@dataclass(frozen=True, slots=True)
class Command:
    """A command as `COMMAND INFO` describes it: its arity, and whether a full server refuses it."""

    handler: Handler
    at_least: int
    at_most: int | None
    writes: bool = False
    deny_oom: bool = False

    def run(self, name: bytes, keyspace: Keyspace, arguments: Arguments, *, full: bool) -> Reply:
        """Run the command on a server that is `full` or not; raises `ErrorReply`."""
        count = len(arguments)
        if count < self.at_least or (self.at_most is not None and count > self.at_most):
            raise wrong_arguments(name.decode())
        if full and self.deny_oom:
            raise ErrorReply(OUT_OF_MEMORY)
        return self.handler(keyspace, arguments)


def _ping(_: Keyspace, arguments: Arguments) -> Reply:
    return arguments[0] if arguments else b"PONG"


def _get(keyspace: Keyspace, arguments: Arguments) -> Reply:
    return _string(keyspace, arguments[0])


def _getex(keyspace: Keyspace, arguments: Arguments) -> Reply:
    key, *options = arguments
    _require_px(options)
    value = _string(keyspace, key)
    if value is not None and options:
        _expire(keyspace, key, keyspace.milliseconds() + _life(options, "getex"))
    return value


def _set(keyspace: Keyspace, arguments: Arguments) -> Reply:
    key, value, *options = arguments
    _require_px(options)
    expires = keyspace.milliseconds() + _life(options, "set") if options else None
    keyspace.put(key, Entry(value, expires))
    return OK


def _incr(keyspace: Keyspace, arguments: Arguments) -> Reply:
    entry = keyspace.get(arguments[0])
    number = 1 if entry is None else _integer(_string(keyspace, arguments[0])) + 1
    if number >= 2**63:
        raise ErrorReply("ERR increment or decrement would overflow")
    keyspace.put(arguments[0], Entry(b"%d" % number, entry.expires if entry else None))
    return number


def _delete(keyspace: Keyspace, arguments: Arguments) -> Reply:
    return sum(_remove(keyspace, key) for key in arguments)


def _exists(keyspace: Keyspace, arguments: Arguments) -> Reply:
    return sum(keyspace.get(key) is not None for key in arguments)


def _pttl(keyspace: Keyspace, arguments: Arguments) -> Reply:
    entry = keyspace.get(arguments[0])
    if entry is None:
        return -2
    return -1 if entry.expires is None else entry.expires - keyspace.milliseconds()


def _pexpire(keyspace: Keyspace, arguments: Arguments) -> Reply:
    life = _integer(arguments[1])
    return _expire(keyspace, arguments[0], keyspace.milliseconds() + life)


def _hset(keyspace: Keyspace, arguments: Arguments) -> Reply:
    key, *pairs = arguments
    if len(pairs) % 2:
        raise wrong_arguments("HSET")
    held = _hash(keyspace, key)
    entry = keyspace.get(key)
    after = {**held, **dict(zip(pairs[::2], pairs[1::2], strict=True))}
    keyspace.put(key, Entry(after, entry.expires if entry else None))
    return len(after) - len(held)


def _hgetall(keyspace: Keyspace, arguments: Arguments) -> Reply:
    return [part for pair in _hash(keyspace, arguments[0]).items() for part in pair]


def _hdel(keyspace: Keyspace, arguments: Arguments) -> Reply:
    key, *names = arguments
    held = _hash(keyspace, key)
    after = {name: value for name, value in held.items() if name not in names}
    entry = keyspace.get(key)
    if entry is not None and len(after) < len(held):
        keyspace.put(key, Entry(after, entry.expires) if after else None)
    return len(held) - len(after)


def _hlen(keyspace: Keyspace, arguments: Arguments) -> Reply:
    return len(_hash(keyspace, arguments[0]))


def _string(keyspace: Keyspace, key: bytes) -> bytes | None:
    entry = keyspace.get(key)
    if entry is None:
        return None
    if not isinstance(entry.value, bytes):
        raise ErrorReply(WRONG_TYPE)
    return entry.value


def _hash(keyspace: Keyspace, key: bytes) -> Hash:
    entry = keyspace.get(key)
    if entry is None:
        return {}
    if isinstance(entry.value, bytes):
        raise ErrorReply(WRONG_TYPE)
    return entry.value


def _remove(keyspace: Keyspace, key: bytes) -> bool:
    found = keyspace.get(key) is not None
    if found:
        keyspace.put(key, None)
    return found


def _expire(keyspace: Keyspace, key: bytes, expires: int) -> int:
    entry = keyspace.get(key)
    if entry is None:
        return 0
    keyspace.put(key, Entry(entry.value, expires) if expires > keyspace.milliseconds() else None)
    return 1


def _require_px(options: Arguments) -> None:
    """Refuse all options but PX, the only one that is used."""
    if options and (len(options) != 2 or options[0].upper() != b"PX"):
        raise ErrorReply(SYNTAX)


def _life(options: Arguments, command: str) -> int:
    life = _integer(options[1])
    if life <= 0:
        raise ErrorReply(f"ERR invalid expire time in '{command}' command")
    return life


def _integer(text: bytes | None) -> int:
    try:
        number = int(text or b"")
    except ValueError:
        raise ErrorReply(NOT_AN_INTEGER) from None
    if b"%d" % number != text or not -(2**63) <= number < 2**63:
        raise ErrorReply(NOT_AN_INTEGER)
    return number


COMMANDS: dict[bytes, Command] = {
    b"PING": Command(_ping, 0, 1),
    b"GET": Command(_get, 1, 1),
    b"GETEX": Command(_getex, 1, None, writes=True),
    b"SET": Command(_set, 2, None, writes=True, deny_oom=True),
    b"INCR": Command(_incr, 1, 1, writes=True, deny_oom=True),
    b"DEL": Command(_delete, 1, None, writes=True),
    b"UNLINK": Command(_delete, 1, None, writes=True),
    b"EXISTS": Command(_exists, 1, None),
    b"PTTL": Command(_pttl, 1, 1),
    b"PEXPIRE": Command(_pexpire, 2, 2, writes=True),
    b"HSET": Command(_hset, 3, None, writes=True, deny_oom=True),
    b"HGETALL": Command(_hgetall, 1, 1),
    b"HDEL": Command(_hdel, 2, None, writes=True),
    b"HLEN": Command(_hlen, 1, 1),
}
