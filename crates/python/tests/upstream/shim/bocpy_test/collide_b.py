"""Schedules a behavior that is the same, word for word, in two modules."""

from bocpy import when

OFFSET = 2000


def schedule_probe(cown):
    """Add this module's offset to the value."""

    @when(cown)
    def probe(cown):
        return cown.value + OFFSET

    return probe
