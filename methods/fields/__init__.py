"""Fields over space: grid encoders and the networks on top of them."""

from methods.fields.triplane import TriplaneEncoder

__all__ = ["TriplaneEncoder"]
