"""What the tracker gives, held against SAM2's own video predictor."""
