"""Redis in virtual time: the commands that `sam2_agent.adapters.redis_store` uses, and what can befall it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from redis._parsers.base import BaseParser

from tests.simulation.redis.commands import COMMANDS, Command
from tests.simulation.redis.keyspace import Keyspace, Snapshot
from tests.simulation.redis.replies import (
    NO_SCRIPT,
    NOT_AN_INTEGER,
    OK,
    OUT_OF_MEMORY,
    ErrorReply,
    Reply,
    wrong_arguments,
)
from tests.simulation.redis.scripts import Commands, Script, compiled


class SimRedis:
    """One server; `now` gives seconds of virtual time.

    Where keys and values hold more than `maxmemory` bytes it refuses what `noeviction` refuses; `maxmemory`
    may be changed at any time.
    """

    def __init__(self, now: Callable[[], float], *, maxmemory: int | None = None) -> None:
        self.maxmemory = maxmemory
        self._keyspace = Keyspace(now)
        self._scripts: dict[bytes, Script] = {}
        self._commands = Commands(self._call)
        self._deny_oom = False
        self._own: dict[bytes, Callable[[Sequence[bytes]], Reply]] = {
            b"EVAL": self._eval,
            b"EVALSHA": self._evalsha,
            b"SCRIPT": self._script,
        }

    @property
    def used(self) -> int:
        """Bytes of keys and values."""
        return self._keyspace.used

    @property
    def keys(self) -> list[bytes]:
        """All keys, oldest first."""
        return self._keyspace.living()

    def execute(self, *command: bytes | str | float) -> Reply:
        """Run one command, atomically.

        Raises what redis-py makes of an error reply, and `NotImplementedError` for a command that nobody
        needed yet.
        """
        name, *arguments = (part if isinstance(part, bytes) else str(part).encode() for part in command)
        if b" " in name:  # redis-py writes "SCRIPT LOAD" as one word
            name, *more = name.split()
            arguments = more + arguments
        name = name.upper()
        try:
            if (own := self._own.get(name)) is not None:
                return own(arguments)
            return _command(name).run(name, self._keyspace, arguments, full=self._full)
        except ErrorReply as error:
            raise BaseParser.parse_error(str(error)) from None  # type: ignore[no-untyped-call]

    def flush(self) -> None:
        """Lose all data; loaded scripts stay."""
        for key in self._keyspace.living():
            self._keyspace.put(key, None)

    def snapshot(self) -> Snapshot:
        """Return all data, for `restore`."""
        return self._keyspace.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Go back in time, as a failover to a replica that was behind does."""
        self._keyspace.restore(snapshot)
        self.restart()

    def lose_since(self, moment: float) -> None:
        """Restart from a log that lacks what was written at `moment` or later."""
        self._keyspace.lose_since(moment)
        self.restart()

    def restart(self) -> None:
        """Restart and lose no data, only the loaded scripts."""
        self._scripts.clear()

    def evict(self, rng: Random, count: int, *, volatile_only: bool = False) -> None:
        """Lose that many keys, as the eviction policies allkeys-random and volatile-random do."""
        keys = self._keyspace.living()
        if volatile_only:
            keys = [key for key in keys if (entry := self._keyspace.get(key)) and entry.expires is not None]
        for key in rng.sample(keys, min(count, len(keys))):
            self._keyspace.put(key, None)

    def damage(self, rng: Random, count: int, prefixes: tuple[bytes, ...]) -> list[bytes]:
        """Flip a bit, or lose the end, of that many values under such keys; return the keys."""
        keys = [key for key in self._keyspace.living() if key.startswith(prefixes)]
        damaged = rng.sample(keys, min(count, len(keys)))
        for key in damaged:
            entry = self._keyspace.get(key)
            if entry is not None and isinstance(entry.value, bytes) and entry.value:
                value = bytearray(entry.value)
                at = rng.randrange(len(value))
                if rng.random() < 0.7:
                    value[at] ^= 1 << rng.randrange(8)
                else:
                    del value[at:]
                self._keyspace.put(key, entry._replace(value=bytes(value)))
        return damaged

    @property
    def _full(self) -> bool:
        return self.maxmemory is not None and self._keyspace.used > self.maxmemory

    def _script(self, arguments: Sequence[bytes]) -> Reply:
        match [argument.upper() for argument in arguments[:1]]:
            case [b"LOAD"] if len(arguments) == 2:
                return self._load(arguments[1]).sha
            case [b"FLUSH"]:
                self._scripts.clear()
                return OK
            case [b"EXISTS"]:
                return [int(sha.lower() in self._scripts) for sha in arguments[1:]]
            case _:
                raise NotImplementedError(f"SCRIPT {arguments!r}")

    def _load(self, text: bytes) -> Script:
        script = compiled(text)
        self._scripts[script.sha] = script
        return script

    def _eval(self, arguments: Sequence[bytes]) -> Reply:
        if len(arguments) < 2:
            raise wrong_arguments("EVAL")
        self._refuse_if_full(compiled(arguments[0]))
        return self._run_script(self._load(arguments[0]), arguments[1:])

    def _evalsha(self, arguments: Sequence[bytes]) -> Reply:
        if len(arguments) < 2:
            raise wrong_arguments("EVALSHA")
        script = self._scripts.get(arguments[0].lower())
        if script is None:
            raise ErrorReply(NO_SCRIPT)
        self._refuse_if_full(script)
        return self._run_script(script, arguments[1:])

    def _refuse_if_full(self, script: Script) -> None:
        """Refuse a script before it begins: Redis stops none in its middle that declares its flags."""
        if self._full and script.flags is not None and not script.flags & {"allow-oom", "no-writes"}:
            raise ErrorReply(OUT_OF_MEMORY)

    def _run_script(self, script: Script, rest: Sequence[bytes]) -> Reply:
        try:
            count = int(rest[0])
        except ValueError:
            raise ErrorReply(NOT_AN_INTEGER) from None
        if not 0 <= count < len(rest):
            raise ErrorReply("ERR Number of keys can't be greater than number of args")
        self._deny_oom = self._full and script.flags is None
        return self._commands.run(script, rest[1 : 1 + count], rest[1 + count :])

    def _call(self, name: bytes, arguments: Sequence[bytes]) -> Reply:
        """Run a command for a script."""
        if name in self._own:
            raise ErrorReply("ERR This Redis command is not allowed from script")
        known = _command(name)
        reply = known.run(name, self._keyspace, arguments, full=self._deny_oom)
        if known.writes:  # after its first write it goes on to its end
            self._deny_oom = False
        return reply


def _command(name: bytes) -> Command:
    known = COMMANDS.get(name)
    if known is None:
        raise NotImplementedError(f"the simulated Redis does not know {name.decode()}")
    return known
