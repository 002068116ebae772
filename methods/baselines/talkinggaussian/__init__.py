"""TalkingGaussian (ECCV 2024): structure-persistent 3D talking head synthesis. See README.md here."""
