"""Remembering: databases and folders. The only room that knows SQL and Parquet."""
