"""Pure algorithms: tables and arrays in, tables and arrays out."""
