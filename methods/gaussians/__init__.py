"""Canonical Gaussian clouds: rendering (and, in siblings, parameters and densification)."""

from methods.gaussians.rasterize import rasterize

__all__ = ["rasterize"]
