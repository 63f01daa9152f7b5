"""`interactive`: controls around a plot in a notebook."""
