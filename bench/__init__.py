"""talkbench: the benchmark harness for talking-face synthesis."""

__version__ = "0.1.0"
