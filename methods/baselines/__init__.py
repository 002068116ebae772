"""Baselines: published methods DEGSTalk is compared with, and reference methods with known answers."""
