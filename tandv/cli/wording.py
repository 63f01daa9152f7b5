"""Errors of the library in words of the shell: what to do is a command or an option there, and nothing of Python.

>>> in_shell_words("cannot create the run's folder x: denied; give track(path=...) a folder that can be written")
"cannot create the run's folder x: denied; give --out a folder that can be written"
"""

import re

_WORDS = (
    (r"tandv\.read opens the folder of a run, and a log", "what can be read is the folder of a run, or a log"),
    (r"; give tracker\.path or tracker\.out_path", "; `tandv runs` lists the runs of a folder"),
    (r"; give the folder that tracker\.path names", "; `tandv runs` lists the runs of a folder"),
    (r"give track\(path=\.\.\.\) a folder", "give --out a folder"),
    (r"is not the folder of a tracker", "is not the folder of a run"),
    (r"; give log=, or track the run", "; give the folder of a run that was tracked"),
    (r"give them to tracker\.step\(loss=loss\), or save them there", "save them there, or name them by --curves"),
    (r", or check that tracker\.step\(\) is called", ", or check that its training ends its steps"),
    (r"; read_run\(.*?\) opens the rows without it", ""),
    (r"tandv\.logframe\.validate\(df\)", "its first message"),
)


def in_shell_words(words: str) -> str:
    """Return a message of the library as the shell says it.

    Args:
        words: the message.
    """
    for pattern, instead in _WORDS:
        words = re.sub(pattern, instead, words)
    return words
