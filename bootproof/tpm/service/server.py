# SPDX-License-Identifier: GPL-3.0-or-later
"""One selector, no call that blocks for longer than a moment: data, control and monitor connections around
one TPM. Everything is done in one thread, but for RSA keys: see `wait_for`.

One data client and one control client are served at a time; further ones wait in the backlog, as with
swtpm. A client that does not read its responses is not read from either, and delays nobody else; one that
stops in the middle of a request is answered or sent away.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bootproof.tpm.codes import Rc, TpmError
from bootproof.tpm.machine import Tpm
from bootproof.tpm.service.background import Job, T
from bootproof.tpm.service.blobs import Keys
from bootproof.tpm.service.connections import Connection, ControlConnection, DataConnection
from bootproof.tpm.service.control import ControlChannel
from bootproof.tpm.service.device import Device
from bootproof.tpm.service.handover import Handover
from bootproof.tpm.service.monitor import Monitor
from bootproof.tpm.service.sockets import Listener, is_socket
from bootproof.tpm.service.stream import CommandStream

if TYPE_CHECKING:
    from bootproof.tpm.crypto.rsa import PrivateKey

_MOST_MONITORS: Final = 8
_READ: Final = selectors.EVENT_READ


class Server:
    """The emulator as a server; `run` returns when it is told to end or nobody can reach it any more."""

    def __init__(
        self,
        tpm: Tpm,
        terminate: bool = False,
        keys: Keys | None = None,
        handover: Handover | None = None,
    ) -> None:
        self.tpm = tpm
        self._handover = handover or Handover(tpm)
        self._keys = keys
        self._make_key, tpm.make_key = tpm.make_key, self._make_key_meanwhile
        self.selector = selectors.DefaultSelector()
        self._terminate = terminate
        self._done = False
        self.busy = False
        self._cancelled = False
        self._data: DataConnection | None = None
        self._control: ControlConnection | None = None
        self._monitors: set[Connection] = set()
        self._data_listener: Listener | None = None
        self._control_listener: Listener | None = None

    # what is served -------------------------------------------------------------------------------

    def listen_data(self, listener: Listener) -> None:
        """Accept data clients there, one after the other."""
        self._data_listener = listener
        self.selector.register(listener.socket, _READ, self._accept_data)

    def listen_control(self, listener: Listener) -> None:
        """Accept control clients there, one after the other."""
        self._control_listener = listener
        self.selector.register(listener.socket, _READ, self._accept_control)

    def listen_monitor(self, listener: Listener) -> None:
        """Accept monitor clients there."""
        self.selector.register(listener.socket, _READ, lambda _events: self._accept_monitor(listener))

    def serve_data(self, peer: socket.socket | Device) -> None:
        """Take that connection for the data channel."""
        self._data = DataConnection(self, peer, CommandStream(self.tpm, self._handover), self._data_closed)
        if self._data_listener is not None:
            self._data.disconnect = self._data_listener.endpoint.disconnect
            self.selector.unregister(self._data_listener.socket)

    def serve_control(self, peer: socket.socket) -> None:
        """Take that connection for the control channel."""
        channel = ControlChannel(self.tpm, self, self._keys, self._handover)
        self._control = ControlConnection(self, peer, channel, self._control_closed)
        if self._control_listener is not None:
            self.selector.unregister(self._control_listener.socket)

    def serve_monitor(self, peer: socket.socket) -> None:
        """Take that connection for a monitor."""
        self._monitors.add(Connection(self, peer, Monitor(self.tpm), self._monitors.discard))

    # what the control channel asks ----------------------------------------------------------------

    def take_data_fd(self, descriptor: int) -> bool:
        """Serve commands on that descriptor; it is closed if it cannot be used."""
        if self._data is not None or not is_socket(descriptor):
            os.close(descriptor)
            return False
        self.serve_data(socket.socket(fileno=descriptor))
        return True

    def shut_down(self) -> None:
        """End after the present event."""
        self._done = True

    def cancel(self) -> None:
        """End the command that is being executed, if it is one that takes long."""
        self._cancelled = True

    # work that takes long -------------------------------------------------------------------------

    def _make_key_meanwhile(self, bits: int, exponent: int) -> PrivateKey:
        """Make a key for the command that is being executed."""
        return self.wait_for(lambda: self._make_key(bits, exponent))

    def wait_for(self, work: Callable[[], T]) -> T:
        """Do this in a thread, and meanwhile serve everybody but the data client; the control channel only
        answers CANCEL. FAIL, without waiting any longer, if that comes, or the program is to end.
        """
        job = Job(work)
        self.busy, self._cancelled = True, False
        data = self._data
        if data is not None:
            self.selector.unregister(data.peer)
        finished: list[int] = []
        self.selector.register(job.done, _READ, finished.append)
        try:
            while not (finished or self._cancelled or self._done):
                self._step()
        finally:
            self.selector.unregister(job.done)
            job.done.close()
            if data is not None:
                self.selector.register(data.peer, _READ, data.ready)
            self.busy = False
        if not finished:
            raise TpmError(Rc.FAIL)
        return job.result()

    # the loop -------------------------------------------------------------------------------------

    def run(self, wake_up: socket.socket) -> None:
        """Serve until `wake_up` is readable, SHUTDOWN comes, or the last one who could ask is gone."""
        self.selector.register(wake_up, _READ, lambda _events: self.shut_down())
        try:
            self._loop()
        finally:
            self._close_all()

    def _loop(self) -> None:
        while not self._done:
            self._step()
            if self._control is not None:
                self._control.catch_up()

    def _step(self) -> None:
        """Wait for events and deal with them."""
        for key, events in self.selector.select(self._patience()):
            key.data(events)

    def _patience(self) -> float | None:
        """Return the seconds to wait for events; None: for ever. What is overdue is dealt with now."""
        patience = None
        for connection in (self._data, self._control):
            if connection is not None and connection.feed.deadline is not None:
                left = connection.feed.deadline - time.monotonic()
                if left <= 0:
                    connection.expire()
                    left = 0
                patience = left if patience is None else min(patience, left)
        return patience

    def _close_all(self) -> None:
        for connection in (self._data, self._control, *self._monitors):
            if connection is not None:
                connection.close()
        self.selector.close()

    # events ---------------------------------------------------------------------------------------

    def _accept_data(self, _events: int) -> None:
        assert self._data_listener is not None
        peer = None if self._data is not None else _accept(self._data_listener)
        if peer is not None:
            self.serve_data(peer)

    def _accept_control(self, _events: int) -> None:
        assert self._control_listener is not None
        peer = None if self._control is not None else _accept(self._control_listener)
        if peer is not None:
            self.serve_control(peer)

    def _accept_monitor(self, listener: Listener) -> None:
        peer = _accept(listener)
        if peer is None:
            return
        if len(self._monitors) >= _MOST_MONITORS:
            peer.close()
        else:
            self.serve_monitor(peer)

    def _data_closed(self, _connection: Connection) -> None:
        self._data = None
        if self._data_listener is not None:
            self.selector.register(self._data_listener.socket, _READ, self._accept_data)
        self._end_if(self._terminate)

    def _control_closed(self, _connection: Connection) -> None:
        self._control = None
        if self._control_listener is not None:
            self.selector.register(self._control_listener.socket, _READ, self._accept_control)
        self._end_if(self._terminate and self._control_listener is None)

    def _end_if(self, wished: bool) -> None:
        """End if so wished, and when neither a connection nor a way to a new one is left."""
        reachable = self._data or self._control or self._data_listener or self._control_listener
        if wished or not reachable:
            self._done = True


def _accept(listener: Listener) -> socket.socket | None:
    with suppress(OSError):
        return listener.socket.accept()[0]
    return None
