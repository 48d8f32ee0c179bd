"""Machine code: made for the processor at hand, kept on disk, loaded in milliseconds."""
