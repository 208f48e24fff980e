"""Files of people as arrays, with a clear complaint about each fault."""
