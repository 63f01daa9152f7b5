"""The error of a file that cannot be read as a log."""


class UnreadableFile(ValueError):
    """The file is damaged, of another kind, or asks for something that a log does not need."""
