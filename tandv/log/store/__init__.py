"""The log of a run on disk: a folder of parquet files with one schema, joined while it grows.

`parts/` is a tree while the run goes on, `parts/<block>/<batch>/<part>.parquet`, and a flat folder of one sorted file
per block when it has ended. A name says which parts a file holds: `000016-000031.parquet`. `columns` is the schema of
the files, `listing` says which files count, `layers` keeps the order of the model, `exchange` lets two folders change
places, `joining` makes one sorted file of several, `tree` is what a run writes to.
"""
