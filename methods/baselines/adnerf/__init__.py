"""AD-NeRF (ICCV 2021): two radiance fields, head and torso, driven by sound. See README.md here.

Read in this order: ``design`` → ``nets`` → ``sampling`` → ``render`` → ``head``, ``torso`` (the stages) → ``plugin``.
"""
