"""Bad input, end to end: a clear error of ours or a counted refusal, and nothing published."""
