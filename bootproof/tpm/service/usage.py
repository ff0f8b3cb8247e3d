# SPDX-License-Identifier: GPL-3.0-or-later
"""What `--help` says."""

from __future__ import annotations

from typing import Final

HELP: Final = """\
usage: socket --tpmstate dir=DIR [--ctrl ...] [--server ...] [options]
       chardev --tpmstate dir=DIR --vtpm-proxy | --chardev DEVICE | --fd N [options]

A TPM 1.2 behind a socket, or behind a character device. The options are those of swtpm:

  --tpmstate dir=DIR[,mode=0600] | backend-uri=dir://DIR
                                      where the state is kept (or the environment variable TPM_PATH)
  --ctrl type=unixio,path=P[,mode=0600][,uid=U][,gid=G] | type=unixio,fd=N (listening)
         | type=unixio,clientfd=N (connected) | type=tcp,port=N[,bindaddr=A[,ifname=I]]
                                      the control channel, as QEMU's -tpmdev emulator speaks it
  --server type=tcp,port=N[,bindaddr=A[,ifname=I]][,disconnect]
         | type=unixio,path=P[,mode=0600][,uid=U][,gid=G][,disconnect] | fd=N (connected)
                                      socket: where commands come in, unless the control channel passes a
                                      descriptor; fd= ends the program with its connection
  -p, --port N | -f, --fd N           socket: --server type=tcp,port=N,disconnect | --server fd=N
                                      (without them, the environment variable TPM_PORT is a --port)
  --vtpm-proxy                        chardev: let the kernel make a /dev/tpmN (needs root, /dev/vtpmx)
  -c, --chardev DEVICE | -f, --fd N   chardev: read commands from that device
  --flags WORD[,WORD]                 not-need-init, startup-clear, startup-state,
                                      startup-deactivated, startup-none
  --locality WORD[,WORD]              reject-locality-4, allow-set-locality
  --key file=F|fd=N[,format=hex|binary] or pwdfile=F|pwdfd=N[,kdf=pbkdf2|sha512]
        [,mode=aes-cbc|aes-256-cbc][,remove]
                                      encrypt the state: a key of 128 or 256 bits, or a passphrase
  --migration-key ...                 the same for state that leaves through the control channel
  --migration [incoming][,release-lock-outgoing]
                                      with shared storage: lock the state only when it arrives or is needed;
                                      unlock it when the last of its blobs was fetched
  --pid file=F | fd=N                 write the process id there
  --log file=F|fd=N[,level=N][,prefix=P][,truncate]
                                      level 0: errors (the default), 1 or more: also warnings
  -d, --daemon                        go on in the background once the sockets are open
  -t, --terminate                     socket: end when the data connection closes, or a control connection
                                      that was given as clientfd=
  -r, --runas USER                    be that user, before any file is touched
  --seccomp action=kill|log|none      what happens at a system call that the program never needs, such as
                                      execve: it ends (the default), the kernel notes it, nothing
  --monitor type=unixio,path=P[,mode=0600] | type=unixio,clientfd=N
                                      ours: a side channel that shows PCRs (see docs/vtpm.md)
  --physical-presence                 ours: the platform says that somebody stands in front of the machine;
                                      the monitor's lines `presence on` and `presence off` change that
  --print-states                      say what is in --tpmstate, and end
  --print-capabilities, --version, -h, --help

Exit codes: 0 done, 2 wrong usage, 10 a socket, a device, a key or the state directory cannot be used.
"""
