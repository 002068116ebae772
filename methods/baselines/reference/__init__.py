"""Reference methods: their scores are known beforehand, so they prove the metrics and frame what a method is worth.

``copy-gt`` is the ceiling, ``mean-frame`` the floor of picture quality; ``frozen-mouth`` moves like the truth but never
speaks, ``time-shift`` speaks, but late: both must lose in lip metrics and in nothing else.
"""
