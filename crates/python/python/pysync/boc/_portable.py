"""What strict mode asks of a value: that bocpy could carry it to another interpreter."""

import io
import pickle
from typing import Any

from .._pysync import Cown


class _Pickler(pickle.Pickler):
    """A pickler that lets cowns pass, which bocpy carries itself."""

    def persistent_id(self, obj: Any) -> int | None:
        return id(obj) if isinstance(obj, Cown) else None


def check(value: Any) -> None:
    """Raise what bocpy would raise for a value that cannot be pickled."""
    _Pickler(io.BytesIO(), pickle.HIGHEST_PROTOCOL).dump(value)
