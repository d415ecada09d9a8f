"""Tables over the archive, for DuckDB: out of Parquet where a day is compacted, out of its segments
where it is not, with the same rows either way."""
