# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread, one selector, no call that blocks for longer than a moment: data, control and monitor
connections around one TPM.

One data client and one control client are served at a time; further ones wait in the backlog, as with
swtpm. A client that does not read its responses is not read from either, and delays nobody else; one that
stops in the middle of a request is answered or sent away.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from bootproof.tpm.machine import Tpm
from bootproof.tpm.service.blobs import Keys
from bootproof.tpm.service.control import ControlChannel, ProtocolError
from bootproof.tpm.service.device import Device
from bootproof.tpm.service.monitor import Monitor
from bootproof.tpm.service.sockets import Listener, is_socket, prepare, wait_a_moment
from bootproof.tpm.service.stream import CommandStream

_LOG: Final = logging.getLogger("vtpm")
_CHUNK: Final = 8192  # more than a command; a larger buffer costs time at every command
_MOST_DESCRIPTORS: Final = 4
_MOST_MONITORS: Final = 8
_MOST_IN_A_ROW: Final = 16  # commands before the other connections have their turn
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Feed(Protocol):
    """What interprets the bytes of a connection."""

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return the response."""


class Connection:
    """A non-blocking connection and what is still to be sent over it."""

    def __init__(
        self,
        server: Server,
        peer: socket.socket | Device,
        feed: Feed,
        on_close: Callable[[Connection], None],
    ) -> None:
        if isinstance(peer, socket.socket):
            prepare(peer)
        self.peer = peer
        self.feed = feed
        self._server = server
        self._on_close = on_close
        self._unsent = b""
        self._closed = False
        self.disconnect = False
        server.selector.register(peer, _READ, self.ready)

    def ready(self, _events: int) -> None:
        """Go on sending if something is unsent, else read and answer."""
        if self._closed:  # by an earlier event of the same round
            return
        if self._unsent:
            self.send(b"")
            self.resume()
            return
        self.serve()

    def serve(self) -> bool:
        """Read and answer; False if nothing has arrived or the peer is gone."""
        try:
            data = self.receive()
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self.answer(data)
        else:
            self.close()
        return bool(data)

    def answer(self, data: bytes) -> None:
        """Let the feed interpret what has arrived, and send its response."""
        try:
            answer = self.feed.feed(data)
        except ProtocolError as error:
            _LOG.warning("connection closed: %s", error)
            self.close()
            return
        if answer:
            self.send(answer)

    def receive(self) -> bytes:
        """Return what has arrived; nothing means that the peer has closed."""
        return self.peer.recv(_CHUNK)

    def send(self, data: bytes) -> None:
        """Send now what the peer takes, and the rest when it takes more."""
        waiting = bool(self._unsent)
        if waiting:
            data = self._unsent + data
        try:
            sent = self.peer.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if waiting or sent < len(data):
            self._unsent = data[sent:]
        if bool(self._unsent) != waiting:
            self._server.selector.modify(self.peer, _WRITE if self._unsent else _READ, self.ready)
        if self.disconnect and not self._unsent:
            self.close()

    def resume(self) -> None:
        """Go on with what had to wait until the peer has taken the responses before; here: nothing."""

    def close(self) -> None:
        """Forget the peer."""
        if self._closed:
            return
        self._closed = True
        self._server.selector.unregister(self.peer)
        self.peer.close()
        self._on_close(self)


class DataConnection(Connection):
    """A connection that carries commands.

    Who has got a response often has the next command ready. To wait for it in `recv` instead of the selector
    saves a system call, which is a quarter of the time of a short command. Others wait a little (see above).
    """

    feed: CommandStream

    def __init__(
        self,
        server: Server,
        peer: socket.socket | Device,
        feed: CommandStream,
        on_close: Callable[[Connection], None],
    ) -> None:
        super().__init__(server, peer, feed, on_close)
        if isinstance(peer, socket.socket):
            wait_a_moment(peer)

    def ready(self, events: int) -> None:
        """Answer the command that has come, and those that follow at once."""
        super().ready(events)
        if not isinstance(self.peer, socket.socket):  # the kernel's TPM proxy waits for ever
            return
        for _ in range(_MOST_IN_A_ROW):
            if self._closed or self._unsent or self.feed.deadline is not None or not self.serve():
                return

    def expire(self) -> None:
        """Answer the command that does not become complete."""
        self.send(self.feed.give_up())


class ControlConnection(Connection):
    """A connection whose bytes may come with descriptors."""

    feed: ControlChannel
    peer: socket.socket

    def receive(self) -> bytes:
        """Return what has arrived, its descriptors in the channel; close those that nobody asked for."""
        if self.peer.family != socket.AF_UNIX:
            return self.peer.recv(_CHUNK)
        data, descriptors, _, _ = socket.recv_fds(
            self.peer, _CHUNK, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
        self.drop_descriptors()
        self.feed.descriptors = descriptors
        return data

    def answer(self, data: bytes) -> None:
        """Let the channel answer, as long as the peer takes its responses."""
        super().answer(data)
        self.resume()

    def resume(self) -> None:
        """Answer the requests that had to wait."""
        while self.feed.paused and not self._unsent and not self._closed:
            super().answer(b"")

    def expire(self) -> None:
        """Send the peer away whose request does not become complete: others may be waiting."""
        _LOG.warning("control connection closed: half a request, and then nothing")
        self.close()

    def drop_descriptors(self) -> None:
        """Close the descriptors that no request has taken."""
        while self.feed.descriptors:
            os.close(self.feed.descriptors.pop())

    def close(self) -> None:
        """Forget the peer and its descriptors."""
        self.drop_descriptors()
        super().close()


class Server:
    """The emulator as a server; `run` returns when it is told to end or nobody can reach it any more."""

    def __init__(self, tpm: Tpm, terminate: bool = False, keys: Keys | None = None) -> None:
        self.tpm = tpm
        self._keys = keys
        self.selector = selectors.DefaultSelector()
        self._terminate = terminate
        self._done = False
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
        self._data = DataConnection(self, peer, CommandStream(self.tpm), self._data_closed)
        if self._data_listener is not None:
            self._data.disconnect = self._data_listener.endpoint.disconnect
            self.selector.unregister(self._data_listener.socket)

    def serve_control(self, peer: socket.socket) -> None:
        """Take that connection for the control channel."""
        channel = ControlChannel(self.tpm, self, self._keys)
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
        peer = _accept(self._control_listener)
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
