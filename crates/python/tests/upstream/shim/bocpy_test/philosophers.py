"""Dining philosophers, who schedule their next meal in the one before."""

from bocpy import when


class Fork:
    """A fork, which counts its uses."""

    def __init__(self, index):
        self.index = index
        self.uses = 0


class Philosopher:
    """Eats with two forks until it is not hungry."""

    def __init__(self, index, left, right, hunger):
        self.index = index
        self.left = left
        self.right = right
        self.hunger = hunger

    def eat(self):
        """Schedule a meal."""

        @when(self.left, self.right, self.hunger)
        def meal(left, right, hunger, philosopher=self):
            left.value.uses += 1
            right.value.uses += 1
            hunger.value -= 1
            if hunger.value > 0:
                philosopher.eat()
