"""What every implementation of a Protocol must keep, and what the format projects' own files say."""
