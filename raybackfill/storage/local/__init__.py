"""Keeps objects as files of a local or network disk."""

from raybackfill.storage.local.store import LocalStore, prune_empty_folders

__all__ = ["LocalStore", "prune_empty_folders"]
