"""The log of a run on disk: a folder of parquet files with one schema, joined while it grows.

`parts/` holds what was written last in parts, and what came before in few files that were joined of these, sorted by
tensor and step. A name says which parts a file holds: `000016-000031.parquet`. `columns` is the schema of the files,
`listing` says which of them count, `layers` keeps the order of the model, `exchange` lets two folders change places,
`joining` makes one sorted file of several, `writing` is what a run writes to.
"""
