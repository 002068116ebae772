"""SyncTalk (CVPR 2024): synchronised tri-plane radiance field. See README.md here."""
