"""The real operator in a simulated world, where one seed decides everything."""
