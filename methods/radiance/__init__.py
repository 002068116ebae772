"""Tri-plane radiance fields: the one implementation behind ER-NeRF and SyncTalk.

A method is a :class:`~methods.radiance.design.Design` and its presets; see ``methods/baselines/ernerf`` and
``methods/baselines/synctalk``. Read in this order: ``design`` → ``field`` → ``rays`` → ``render`` → ``head``, ``lips``, ``torso``
(the stages) → ``plugin``.
"""
