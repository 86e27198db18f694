"""Values that people type by mistake or by malice, for each field of a structural schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.controlplane.mutations import fields, spec_with, values

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = Any

_TEXTS: tuple[str, ...] = (
    *(
        "",
        " ",
        " a",
        "a ",
        "a b",
        "\n",
        "a\n",
        "\0",
        "\u00a0a",
        "ä",
        "$(HOME)",
        "${HOME}",
        "'",
        '"',
        "\\",
        "%",
        "*",
    ),
    *(
        "-",
        "_",
        ".",
        "..",
        "..a",
        "a.",
        "a-",
        "a_b",
        "A",
        "a.b",
        "a..b",
        "a--b",
        "/",
        "/a",
        "a/",
        "a/b",
        "a//b",
        "a/b/c",
    ),
    *(
        "a/../b",
        "a/./b",
        "a/b.git",
        "A/B",
        "kubernetes.io/a",
        "a:b",
        "a:",
        "a@b",
        "@",
        "#",
        "a,b",
        "null",
        "true",
    ),
    *(
        "0",
        "00",
        "0x1",
        "-1",
        "+1",
        "0.1",
        "1.",
        ".5",
        "1m",
        "1e400",
        "1e-400",
        "1E",
        "1Gi",
        "1Ei",
        "9E",
        "1e3",
        "NaN",
    ),
    *(
        "9" * 20,
        "9" * 63 + "E",
        "99999999999999h",
        "9223372036854775807s",
        "0s",
        "1s",
        "1h1h",
        "h",
        "-1h",
        "1d",
    ),
    *("SAM2_AGENT_X", "sam2_agent_x", "Sam2_Agent_x", "PATH", "LD_PRELOAD", "0A", "a=b", "metadata.name"),
    *(
        "http://h:99999",
        "http://h:0",
        "http://h:",
        "http://h:x",
        "http://h/%zz",
        "http://h/a b",
        "http://h/\n",
    ),
    *(
        "http://[::1",
        "http://[::1]:8080",
        "http://u:p@h",
        "http://h?a",
        "http://h#a",
        "HTTP://H",
        "http:///a",
        "http://",
    ),
    *(
        "http://h/a/../b",
        "http://$(HOME)/",
        "http://ä",
        "http://h_h",
        "http://.",
        "http://-",
        "http://h,g",
        "http://h;g",
    ),
    *(
        "redis://h:99999",
        "redis://h:0",
        "redis://h/x",
        "redis://h/1/2",
        "redis://h/-1",
        "redis://h/1",
        "redis://h/999999",
    ),
    *("REDIS://h", "redis://", "redis://,", "redis://h:6379,g:6379", "unix:///tmp/a"),
    *("x" * length for length in (46, 63, 64, 128, 129, 253, 254, 317, 512, 513, 4097, 100_000)),
    *("/".join(("x" * 253, "x" * 63)) for _ in (0,)),
)
_INTEGERS: tuple[Json, ...] = (-1, 0, 1, 100, 101, 2**31, 2**63 - 1, 2**63, 0.5, "1", True)
_AMOUNTS: tuple[Json, ...] = (*_TEXTS, -1, 0, 1, 2**31, 2**63 - 1, 2**63, 0.5)


def hostile(schema: Json) -> Iterator[tuple[str, dict[str, Json]]]:
    """Give specs with a name for each, all good but for one field."""
    for path, node, _ in fields(schema):
        for value in _values(path, node):
            yield f"{path} = {value!r:.80}", spec_with(schema, path, value)


def _values(path: str, node: Json) -> Iterator[Json]:
    kind = node.get("type")
    yield None
    if kind == "object" and "additionalProperties" in node:
        good = values(f"{path}{{}}", node["additionalProperties"])[0]
        yield from ({key: good} for key in _TEXTS)
        yield {f"key-{number}": good for number in range(1000)}
    elif kind == "object":
        yield {}
    elif kind == "array":
        one, two = values(f"{path}[]", node["items"])
        yield from ([], [one, one], [one, two] * 2, [None], [one] * 1000)
    elif kind == "integer":
        yield from _INTEGERS
    elif kind == "boolean":
        yield from ("true", 1)
    elif node.get("x-kubernetes-int-or-string"):
        yield from _AMOUNTS
    else:
        yield from _TEXTS
        yield 1
