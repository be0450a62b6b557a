"""What a Parquet file says besides its values: how large they are, and how its old times are meant."""
