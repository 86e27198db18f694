import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.toolchain import release


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("go version go1.19.8 linux/amd64", (1, 19)), ("go version go1.26rc1 linux/arm64", (1, 26))],
)
def test_the_release_is_read(answer: str, expected: tuple[int, int]) -> None:
    assert release(answer) == expected


def test_what_is_no_go_is_named() -> None:
    with pytest.raises(ClusterError, match="gcc"):
        release("gcc version 12")
