"""Tables of items: reading them in, the pool folder, presence, splits and keys. Nothing here imports torch."""

from modest.data.demo import demo
from modest.data.ingest import ingest
from modest.data.pool import Pool, open
from modest.data.presence import missing_mask

__all__ = ["Pool", "demo", "ingest", "missing_mask", "open"]
