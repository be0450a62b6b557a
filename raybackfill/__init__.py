"""raybackfill rebuilds historical data in object storage.

A record's way has five hops: plan (partitions -> units), extract (objects -> rows), transform (the
user's job), load (rows -> staged files and a receipt), publish (receipts -> a new version).
"""

__version__ = "0.1.0"
