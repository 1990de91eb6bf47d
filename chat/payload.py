"""Parsing of client payloads: the base model, and the types of their numbers and ids.

The payloads of the single events are in wire.py, the types of their texts in text/validation.py.
"""

from typing import Annotated, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from chat.errors import BadRequest, Empty, Refusal, TooLong

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer that JavaScript represents exactly."""

Number: TypeAlias = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
Limit: TypeAlias = Annotated[int, Field(ge=1, le=200)]
Mark: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
ClientId: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,64}$")]

TEXT_REFUSALS: dict[str, type[Refusal]] = {"empty": Empty, "too_long": TooLong}
"""Refusals with a code of their own, by the type of the validation error."""


class Payload(BaseModel):
    """The one argument of an event: an object with these keys, of these types, and nothing else."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def parse(cls, data: object) -> Self:
        """Parse a payload. Raises BadRequest, Empty or TooLong; the message names the key."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            refusal = cls._refusal(error.errors(include_input=False))
        raise refusal

    @classmethod
    def _refusal(cls, details: list[ErrorDetails]) -> Refusal:
        """Return the refusal for the first malformed key, or else for the first unsuitable text."""
        malformed = [each for each in details if each["type"] not in TEXT_REFUSALS]
        first = (malformed or details)[0]
        key = first["loc"][0] if first["loc"] else "the payload"
        reason = first["msg"]
        if first["type"] in TEXT_REFUSALS:
            subject = "name" if key == "handle" else key
            return TEXT_REFUSALS[first["type"]](f"The {subject} {reason}.")
        if key in cls.model_fields or key == "the payload":
            return BadRequest(f"{key}: {reason}")
        return BadRequest("an unknown key")  # not repeated: it may contain anything

    @model_validator(mode="before")
    @classmethod
    def _reject_null(cls, data: object) -> object:
        if isinstance(data, dict) and None in data.values():
            raise PydanticCustomError("null", "null is not allowed: leave the key out")
        return data
