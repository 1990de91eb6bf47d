"""How a payload is read: these keys, of these types, and nothing else; or how it is refused."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from chat.errors import BadRequest, Empty, Refusal, TooLong

Number = Annotated[int, Field(ge=0, le=2**53 - 1)]  # beyond this JavaScript cannot count
Limit = Annotated[int, Field(ge=1, le=200)]
ClientId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,64}$")]
OF_TEXT = {"empty": Empty, "too_long": TooLong}


class Payload(BaseModel):
    """What a client sends with an event: these keys, of these types, and nothing else."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @classmethod
    def parse(cls, data: object) -> Self:
        """Read a payload. Raises BadRequest, Empty or TooLong, naming the key."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            problem = max(
                error.errors(include_input=False), key=lambda each: each["type"] not in OF_TEXT
            )
        key = problem["loc"][0] if problem["loc"] else "the payload"
        if problem["type"] in OF_TEXT:
            raise OF_TEXT[problem["type"]](
                f"The {'name' if key == 'handle' else key} {problem['msg']}."
            )
        # A key we do not know is not repeated: it may hold anything.
        raise BadRequest(
            f"{key}: {problem['msg']}"
            if key in {*cls.model_fields, "the payload"}
            else "an unknown key"
        )

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_null(cls, data: object) -> object:
        if isinstance(data, dict) and any(value is None for value in data.values()):
            raise PydanticCustomError("null", "null is not a value here: leave the key out")
        return data


def refused(error: Refusal) -> dict[str, Any]:
    """The answer to what has not been done."""
    when = {} if error.retry_after_ms is None else {"retry_after_ms": error.retry_after_ms}
    return {"ok": False, "code": error.code, "message": str(error), "retry": error.retry, **when}
