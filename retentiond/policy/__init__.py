"""The policy language: from YAML text to frozen values, and the rules of the calendar. Pure: no database, no clock."""
