"""The revisions, in order; a new one names the one before it."""
