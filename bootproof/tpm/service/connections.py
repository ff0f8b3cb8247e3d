# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that never hold the server up: what arrives is interpreted at once, and what the peer does not
take is sent when it does.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from bootproof.tpm.service.control import ControlChannel, ProtocolError
from bootproof.tpm.service.device import Device
from bootproof.tpm.service.sockets import prepare, wait_a_moment
from bootproof.tpm.service.stream import CommandStream

if TYPE_CHECKING:
    from bootproof.tpm.service.server import Server

_LOG: Final = logging.getLogger("vtpm")
_CHUNK: Final = 8192  # more than a command; a larger buffer costs time at every command
_MOST_DESCRIPTORS: Final = 4
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

    def catch_up(self) -> None:
        """Answer the requests that had to wait for the end of a command."""
        if self.feed.delayed and not self._unsent:
            self.answer(b"")

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
