"""What every trained method shares: the loop with its state files, the order of frames, LPIPS as a loss."""
