"""Several workers: uvicorn's parent process, which notices at once when one of them dies."""

from __future__ import annotations

import uvicorn
from uvicorn.supervisors import Multiprocess


def run_workers(config: uvicorn.Config) -> None:
    """Serve until a signal ends it, and replace workers that die."""
    _Supervisor(config, [config.bind_socket()]).run()


class _Supervisor(Multiprocess):
    def keep_subprocess_alive(self) -> None:
        """Close the parent's copy of each worker's end of the pipe, then look after the workers.

        With a copy open, the pipe does not end with the worker: the parent would wait for the answer of one
        that died until its time is up, and meanwhile replace nobody.
        """
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()
