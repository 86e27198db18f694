"""A small SAM2.1, trained from scratch on synthetic video, with its generator, training and evaluation."""
