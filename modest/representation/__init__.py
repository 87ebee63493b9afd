"""Representations trained on the pool itself, and figures that say what space they make."""
