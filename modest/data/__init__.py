"""Tables of items: reading them in, the pool folder, presence, splits, keys and batches. Nothing here imports torch."""
