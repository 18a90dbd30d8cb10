"""Noise of all sorts."""
