"""What JSON lines say: exact numbers, the types they show, and their values in Arrow types."""
