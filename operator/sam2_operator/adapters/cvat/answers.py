"""What an HTTP answer of CVAT means; and whether it is CVAT's at all.

CVAT answers JSON, errors too. Ingresses, proxies and login pages in front of it answer HTML or nothing: an
error page says nothing about functions, and must never be taken for CVAT's word.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from sam2_operator.errors import (
    CredentialsRefusedError,
    CvatError,
    CvatUnreachableError,
    ForbiddenError,
    ForeignAnswerError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT_RETRY_SECONDS = 30.0
_MAX_RETRY_SECONDS = 300.0
_MAX_QUOTE = 300

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, content type, body and headers of an answer."""

    status: int
    content_type: str
    data: bytes
    headers: Mapping[str, str]

    @property
    def is_json(self) -> bool:
        """Whether CVAT may have written it."""
        return "json" in self.content_type.lower()

    def words(self) -> str:
        """Give what CVAT says in it, shortened; nothing for an answer that is not CVAT's."""
        if not self.is_json:
            return ""
        try:
            body: Any = json.loads(self.data)
        except ValueError:
            return ""
        if isinstance(body, dict) and set(body) & {"detail", "message"}:
            body = body.get("detail") or body.get("message")
        return (body if isinstance(body, str) else json.dumps(body))[:_MAX_QUOTE]

    def says(self, word: str) -> bool:
        """Whether CVAT's words contain a word."""
        return word in self.words().lower()


def parsed(model: type[M], answer: Answer) -> M:
    """Read a good answer.

    Raises:
        ForeignAnswerError: it is not what CVAT answers.
    """
    try:
        if not answer.is_json:
            raise ValueError(f"content type {answer.content_type!r}")  # noqa: TRY301 - one way to say it
        return model.model_validate_json(answer.data)
    except (ValueError, ValidationError) as error:
        raise ForeignAnswerError(
            f"What answered is not CVAT ({answer.status}, {answer.content_type or 'no content type'}): check "
            "spec.cvat.url and what stands in front of CVAT."
        ) from error


def unreachable(url: str, why: str) -> CvatUnreachableError:
    """Say that nothing useful came back."""
    return CvatUnreachableError(
        f"CVAT at {url} does not answer: {why.rstrip('.')}. Check spec.cvat.url, DNS, proxies and network "
        "policies."
    )


def refusal(url: str, verb: str, path: str, answer: Answer) -> CvatError:
    """Translate an error of CVAT, or of what stands in front of it."""
    status = answer.status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        words = f" ({answer.words()})" if answer.words() else ""
        return CvatUnreachableError(f"CVAT at {url} fails with status {status}{words}; it is tried again.")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = _retry_after(answer.headers.get("Retry-After"))
        return RateLimitedError(f"CVAT at {url} asks to wait {wait:g} seconds.", retry_after=wait)
    if not answer.is_json:
        return ForeignAnswerError(
            f"Something else than CVAT answered {verb} {url}{path} with status {status}: check spec.cvat.url "
            "and the ingress or proxy in front of CVAT."
        )
    return _refused_by_cvat(url, f"{verb} {path}", status, answer.words())


def _refused_by_cvat(url: str, what: str, status: int, words: str) -> CvatError:
    if status == HTTPStatus.UNAUTHORIZED:
        return CredentialsRefusedError(
            f"CVAT at {url} refuses the credentials ({words}): correct the Secret that "
            "spec.cvat.credentialsSecretRef names."
        )
    if status == HTTPStatus.FORBIDDEN:
        return ForbiddenError(
            f"CVAT at {url} does not allow the account {what} ({words}): give it the right to do so, or use "
            "another account."
        )
    if status == HTTPStatus.NOT_FOUND:
        return NotFoundError(f"CVAT at {url} answers {what} with: {words}")
    return RefusedError(f"CVAT at {url} refuses {what} with status {status}: {words}")


def _retry_after(written: str | None) -> float:
    """Read Retry-After in seconds; the form with a date counts as the default."""
    try:
        return min(max(float(written or ""), 1.0), _MAX_RETRY_SECONDS)
    except ValueError:
        return _DEFAULT_RETRY_SECONDS
