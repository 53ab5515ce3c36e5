"""The decision log as Parquet: exported from the database, read back as blocks of arrays."""
