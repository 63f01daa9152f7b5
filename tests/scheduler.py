"""How pytest-xdist goes on after a worker that ended in the middle of a test."""

import contextlib

from xdist.scheduler import LoadFileScheduling


class Scheduler(LoadFileScheduling):
    """Files go to the workers whole; what a worker left goes to the others, without the test that ended it.

    pytest-xdist 3.8.0 by itself gives them what had been run, too, and then waits for ever (its issue 1378), runs the
    test that ended the worker again (1371), leaves a new worker waiting for a second test (1327), and ends with an
    error where it sends tests to a worker that has just ended.
    """

    def remove_node(self, node):
        """Return the test that ended the worker, if any: it counts as run."""
        files = self.assigned_work[node]
        ended_it = next(((tests, test) for tests in files.values() for test, run in tests.items() if not run), None)
        if ended_it is None:
            return super().remove_node(node)
        tests, test = ended_it
        tests[test] = True
        self.assigned_work[node] = {file: tests for file, tests in files.items() if not all(tests.values())}
        super().remove_node(node)
        return test

    def _assign_work_unit(self, node):
        with contextlib.suppress(OSError):  # it has just ended: `remove_node` is called with what it was to run
            super()._assign_work_unit(node)

    def _reschedule(self, node):
        super()._reschedule(node)
        # A worker begins a test when it has the next one, or is told that there is none.
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)
