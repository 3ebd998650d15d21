"""`pysync.boc` under the name that bocpy's tests import."""

from pysync.boc import *

from . import _core as _core
from . import behaviors as behaviors


class Matrix:
    """Only a name that a test module imports. Tests that use it are left out."""
