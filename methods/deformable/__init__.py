"""Deformable canonical Gaussians: the one implementation behind TalkingGaussian and DEGSTalk.

A method is a :class:`~methods.deformable.design.Design` (what it is) and its presets (how long it trains);
see ``methods/degstalk`` and ``methods/baselines/talkinggaussian``. Read in this order: ``design`` → ``fields`` →
``render`` → ``mouth``, ``face``, ``fuse`` (the three stages) → ``plugin``.
"""
