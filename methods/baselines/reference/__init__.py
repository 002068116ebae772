"""Reference methods: their scores are known beforehand, so they prove the metrics and frame what a method is worth.

``copy-gt`` is the ceiling, ``codec`` what is left of it in a video file; ``mean-frame`` is the floor of picture quality.
``frozen-mouth`` moves like the truth but never speaks, ``wrong-audio`` speaks other words, ``time-shift`` speaks late:
these must lose in lip metrics, and the first two in nothing else.
"""
