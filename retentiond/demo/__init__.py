"""Sample databases of five companies, so that every command can be tried before it meets real data."""
