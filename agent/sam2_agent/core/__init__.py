"""Pure: state strings, steps, what to compute again, lease decisions, shapes."""
