"""Live schemas as frozen values, and connections with safe defaults."""
