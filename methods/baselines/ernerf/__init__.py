"""ER-NeRF (ICCV 2023): region-aware tri-plane radiance field. See README.md here."""
