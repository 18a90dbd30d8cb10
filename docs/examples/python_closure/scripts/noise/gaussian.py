"""Noise that is nearly Gaussian, from sums alone: the same on every machine."""


def noise(draw, width=3.0):
    """A number around 0."""
    return width * (sum(draw.random() for _ in range(12)) - 6)
