"""DEGSTalk (ICASSP 2025): deformable pre-embedding Gaussian fields with hair-preserving rendering. See README.md here."""
