"""Read-only views for people: nothing in here changes a row."""
