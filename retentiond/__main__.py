"""Lets `python -m retentiond` do what the command `retentiond` does."""

from retentiond.cli import main

if __name__ == "__main__":
    main()
