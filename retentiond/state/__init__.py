"""What retentiond remembers between two runs. It records and answers; it decides nothing."""
