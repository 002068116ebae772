"""Talking-face methods shipped with talkbench; the harness finds them through the entry-point group ``bench.methods``."""
