"""Schedules behaviors that read a global of their module which is no constant."""

from bocpy import when

module_cache = {"value": "module-level-value"}


def schedule_direct(cown):
    """Read the global in a behavior."""

    @when(cown)
    def read(cown):
        return module_cache["value"]

    return read


def schedule_chain(first_cown, second_cown):
    """Read the global in a behavior, and in one that this one schedules."""

    @when(first_cown)
    def first(first_cown, second_cown=second_cown):
        mine = module_cache["value"]

        @when(second_cown)
        def second(second_cown, mine=mine):
            return mine, module_cache["value"]

        return second

    return first
