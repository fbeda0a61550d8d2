"""Kernels that start at once: forks of a process that has imported what takes seconds to import; on Linux only.

The file is both ends.  A worker imports it, and starts it as a program, which imports nothing of this package: each
kernel reads the package as it is then.  A kernel has a namespace, an environment, a folder and a session of its own.
It ends with the program, and the program with the worker.
"""

import atexit
import contextlib
import ctypes
import importlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any, cast

from ipykernel import kernelapp
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from traitlets import List

# What to import before the fork where a notebook uses one of these packages.  The first optimizer of a process
# imports torch._dynamo.  Nothing that asks for the kernel when it is imported, as the backends of matplotlib do.
SLOW = {
    "matplotlib": ["matplotlib.figure", "matplotlib.projections"],
    "numpy": ["numpy"],
    "pandas": ["pandas"],
    "scipy": ["scipy.special"],
    "torch": ["torch", "torch._dynamo"],
}
PR_SET_PDEATHSIG = 1  # of Linux: prctl(2)
INLINE = "module://matplotlib_inline.backend_inline"  # what a kernel tells matplotlib unless told otherwise


# the program


def main() -> None:
    del sys.path[0]  # the folder of this file; a kernel puts its own there
    worker = Connection(os.dup(0))
    os.environ.setdefault("MPLBACKEND", INLINE)  # matplotlib reads it when it is imported
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a kernel that has ended
    program = os.getpid()
    request = _next_kernel(worker)
    _end_with(program)
    _leave_program(request)
    kernelapp.launch_new_instance([*request["arguments"], f"--IPKernelApp.parent_handle={program}"])
    atexit._run_exitfuncs()
    os._exit(0)  # to take all apart that was imported would copy it first, which takes seconds


def _next_kernel(worker: Connection) -> dict:
    """Fork at each request, until the worker ends.  -> in a fork, the request"""
    while True:
        try:
            request = worker.recv()
        except EOFError:
            os._exit(0)
        for module in request["modules"]:
            with contextlib.suppress(Exception):  # the notebook will say so
                importlib.import_module(module)
        process = os.fork()
        if process == 0:
            worker.close()
            return request
        worker.send(process)


def _end_with(program: int) -> None:
    """Let this process be killed when its parent ends; end it now if that has happened.

    ipykernel looks for its parent too, but does not begin to where that is gone already.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != program:
        os._exit(1)


def _leave_program(request: dict) -> None:
    """Put back, in a fork, what a process of its own would have."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # else all kernels draw the same where a notebook sets no seed


# the worker


@dataclass(frozen=True)
class Fork:
    """A kernel, which is no child of this process, with what jupyter_client uses of a `subprocess.Popen`."""

    pid: int
    program: subprocess.Popen
    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        if self.program.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 0)
                return None
        return 1  # how it ended, nobody knows

    def wait(self) -> int | None:
        return self.poll()

    def send_signal(self, signum: int) -> None:
        os.kill(self.pid, signum)


class Program:
    """The program, started when it is first needed, and again where it has died."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # a worker may have several threads
        self.process: subprocess.Popen | None = None
        self.connection: Connection

    def fork(self, request: dict) -> Fork:
        """Raises OSError or EOFError if it cannot be started, or dies over this."""
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self._start()
            assert self.process is not None
            self.connection.send(request)
            return Fork(self.connection.recv(), self.process)

    def end(self) -> None:
        if self.process is not None:
            self.connection.close()
            self.process.wait()

    def _start(self) -> None:
        self.connection, end = Pipe()
        self.process = subprocess.Popen([sys.executable, __file__], stdin=end.fileno(), start_new_session=True)
        end.close()


PROGRAM = Program()
atexit.register(PROGRAM.end)


class ForkProvisioner(LocalProvisioner):
    """Starts a kernel as a fork; as any other where it is not Python's own, or not on Linux, or no fork succeeds."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        if sys.platform != "linux" or cmd[0] != sys.executable or "ipykernel_launcher" not in cmd:
            return await super().launch_kernel(cmd, **kwargs)
        request = {
            "arguments": cmd[cmd.index("ipykernel_launcher") + 1 :],
            "environment": dict(kwargs["env"]),
            "folder": str(kwargs["cwd"]),
            "modules": cast(ForkKernelManager, self.parent).modules,
        }
        try:
            fork = PROGRAM.fork(request)
        except (OSError, EOFError):
            return await super().launch_kernel(cmd, **kwargs)
        self.process = cast(Any, fork)
        self.pid = self.pgid = fork.pid  # it leads a session
        self.cwd = kwargs["cwd"]
        return self.connection_info


class ForkKernelManager(AsyncKernelManager):
    """For nbclient's ``kernel_manager_class``.  ``modules`` are imported before the fork."""

    modules: List = List().tag(config=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kernel_id = str(uuid.uuid4())
        self.provisioner = ForkProvisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)


if __name__ == "__main__":
    main()
