"""Schedules behaviors in methods, which use a global."""

from bocpy import when

GLOBAL_FACTOR = 7


class Multiplier:
    """Multiplies values by the global."""

    def multiply(self, cown):
        """Get the factor as a capture."""
        factor = GLOBAL_FACTOR

        @when(cown)
        def product(cown, factor=factor):
            return cown.value * factor

        return product

    def multiply_direct(self, cown):
        """Read the factor in the behavior."""

        @when(cown)
        def product(cown):
            return cown.value * GLOBAL_FACTOR

        return product
