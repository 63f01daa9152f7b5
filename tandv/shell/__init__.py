"""What the commands of the shell do: ask, measure with a progress bar, keep a log, show. The commands are in `cli`."""
