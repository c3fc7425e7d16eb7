"""The type of a parameter in a configuration: a number, a prior, or an expression."""

import keyword
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, final

from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from lensax._types import as_real
from lensax.parameters import Constant, Expression, Free, Parameter
from lensax.parameters import distribution as distributions

__all__ = ["OwnParameters", "Value"]

_WITH_UNIT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*[^\W\d].*", re.IGNORECASE)
FORMS = "a number, a prior such as {Normal: [1.2, 0.05]}, or an expression such as '= lens.redshift'"


@final
@dataclass(frozen=True)
class Value:
    """One parameter as a configuration writes it: `0.5`, `{Normal: [1.2, 0.05]}` or `"= 0.5 * parameters.width"`.

    Use it as the type of a pydantic field; `Value.of(1.0)` is a default. `parameter(name)` gives the parameter under
    its dotted name.

    Args:
        written: what the file says.
        number: the value if it is fixed, None otherwise.
        make: the parameter for a name.
    """

    written: Any
    number: float | None
    make: Callable[[str], Parameter] = field(repr=False, compare=False)

    @classmethod
    def of(cls, written: Any) -> "Value":
        """The parameter that a file would write like this.

        Raises:
            ValueError: it is none of the three forms, or its prior has no support.
        """
        if isinstance(written, Mapping):
            law = _distribution(written)
            return cls(written, None, lambda name: Free(name, law))
        if isinstance(written, str) and written.lstrip().startswith("="):
            expression = Expression(written.strip().removeprefix("="))
            return cls(written, None, lambda name: expression)
        if isinstance(written, bool) or not isinstance(written, (int, float)):
            if isinstance(written, str) and _WITH_UNIT.fullmatch(written.strip()):
                raise ValueError("expected a number without its unit (`lensax info` names the unit of every parameter)")
            raise ValueError(f"expected {FORMS}")
        if math.isnan(written):
            raise ValueError("expected a number, and this is none")
        number = float(written)
        return cls(written, number, lambda name: Constant(as_real(number)))

    def parameter(self, name: str) -> Parameter:
        """The parameter that stands under this dotted name."""
        return self.make(name)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_validate)


def _names(written: Any) -> Any:
    for name in written if isinstance(written, dict) else ():
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f"expected names of letters, digits and underscores, found '{name}'")
    return {} if written is None else written


OwnParameters = Annotated[dict[str, Value], BeforeValidator(_names)]
"""The section `parameters`: values of a user's own, by names that expressions can use."""


def _validate(written: Any) -> Value:
    if isinstance(written, Value):  # a default
        return written
    if isinstance(written, float) and math.isinf(written):
        raise ValueError("expected a finite number")
    return Value.of(written)


def _distribution(written: Mapping[str, Any]) -> Any:
    """The NumPyro distribution of `{Normal: [1.2, 0.05]}`, `{HalfNormal: 0.1}` or `{Uniform: {low: 0, high: 1}}`."""
    if len(written) != 1:
        keys = ", ".join(map(str, written)) or "nothing"
        raise ValueError(f"expected one distribution such as {{Normal: [1.2, 0.05]}}, found the keys {keys}")
    ((name, arguments),) = written.items()
    if isinstance(arguments, (int, float)):
        arguments = [arguments]
    if not isinstance(arguments, (list, tuple, Mapping)):
        raise ValueError(f"the arguments of {name} must be a list or a mapping of numbers")
    return distributions.build(str(name), arguments)
