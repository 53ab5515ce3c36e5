"""Workers under uvicorn's parent process, which notices at once when one of them dies."""

from __future__ import annotations

from typing import Any

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from bandit_router.server.metrics.folder import clear_folder, shared_folder


def run(app: str, *, workers: int, **options: Any) -> None:
    """`uvicorn.run`: serve ``app``, a module and a name in it, until a signal ends it."""
    clear_folder()
    if workers == 1:
        uvicorn.run(app, **options)
        return
    with shared_folder():
        config = uvicorn.Config(app, workers=workers, **options)
        _Supervisor(config, [config.bind_socket()]).run()


class _Supervisor(Multiprocess):
    def keep_subprocess_alive(self) -> None:
        """Close the parent's copy of each worker's end of the pipe, then look after the workers.

        With a copy open, the pipe does not end with the worker: the parent would wait for the answer of one
        that died until its time is up, and meanwhile replace nobody.
        """
        before = list(self.processes)
        for process in before:
            process.child_conn.close()
        super().keep_subprocess_alive()
        for process in before:
            if process not in self.processes:
                mark_process_dead(process.pid)  # what it had in flight is not any more; its counts stay
