"""The ledger: what was to be destroyed and what was, one leaf after the other, in a tree that shows every change."""
