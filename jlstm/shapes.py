"""Annotations of arrays with dtype and axes, such as `Float[Array, "time *batch input"]`.

The names are those of jaxtyping, which can check them on real calls, as the tests do. To a type
checker or an editor, with nothing to install, each is the type of the array. Imported by neither
the library nor its users when they run. `jlstm.types` has the legend of the axes.
"""

from typing import Annotated as Bool
from typing import Annotated as Float
from typing import Annotated as Int
from typing import Annotated as Shaped
from typing import Any, TypeAlias

from jax import Array

PRNGKeyArray: TypeAlias = Array
PyTree: TypeAlias = Any

__all__ = ["Array", "Bool", "Float", "Int", "PRNGKeyArray", "PyTree", "Shaped"]
