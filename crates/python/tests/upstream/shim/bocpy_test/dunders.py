"""Schedules a behavior that reads names of its module."""

from bocpy import when


def schedule_read_dunders(cown):
    """Return the names of the module and of its package."""

    @when(cown)
    def read(cown):
        return __name__, __package__

    return read
