"""Shapes of light curves over the time since their peak."""


def burst(time):
    """Rises at once, decays."""
    return 0.0 if time < 0 else 2.0 ** (-time / 5)


def bump(time):
    """Rises and decays alike."""
    return 1 / (1 + (time / 4) ** 2)


SHAPES = {"burst": burst, "bump": bump}
