"""Driving a trained method with another sound: what is heard comes from the sound, all else from frames of the subject."""

from bench.drive.film import Order, check, drive
from bench.drive.frames import POSES, Poses
from bench.drive.speech import Speech, listen

__all__ = ["POSES", "Order", "Poses", "Speech", "check", "drive", "listen"]
