# SPDX-License-Identifier: GPL-3.0-or-later
from hypothesis import given
from hypothesis import strategies as st

from bootproof.errors import ExitCode
from bootproof.smoke.phases import FIRMWARE_LOG, PHASES, REPORT, SERIAL, Follower, Limits

# as a minimal image said it (escape sequences are GRUB's and systemd's)
FIRMWARE = b"SeaBIOS (version 1.16.2-debian-1.16.2-1)\nBooting from DVD/CD...\n"
BOOT = (
    b"\x1b[H\x1b[J\x1b[1;1HBootproof: boot menu\r\n\x1b[H\x1b[J  Booting `minimal: start'\r\n\r\n",
    b"bootproof: looking for the medium BOOTPROOF_MINIMAL_8BCE06BA\r\nbootproof: layers verified\r\n",
    b"bootproof: starting /sbin/init\r\n",
    b"\r\nbootproof login: root (automatic login)\r\n\r\nBootproof minimal is up: Debian trixie\r\n",
)


def names(follower: Follower) -> list[str]:
    return [done.phase.name for done in follower.done]


def follow(*pieces: tuple[str, bytes]) -> Follower:
    follower = Follower()
    for second, (source, piece) in enumerate(pieces):
        follower.feed(source, piece, float(second))
    return follower


def test_phases_are_followed_in_order() -> None:
    follower = follow((FIRMWARE_LOG, FIRMWARE), *((SERIAL, piece) for piece in BOOT))
    assert names(follower) == ["firmware", "boot loader", "kernel", "initrd", "login"]
    assert follower.current is PHASES[-1]
    assert [done.since_start for done in follower.done] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert follower.feed(REPORT, b"complete\n", 9.0)[0].seconds == 5.0
    assert follower.current is None
    assert follower.fatal is None


@given(st.integers(1, 7))
def test_phases_do_not_depend_on_how_the_text_is_cut(size: int) -> None:
    text = b"".join(BOOT)
    pieces = [(SERIAL, text[at : at + size]) for at in range(0, len(text), size)]
    assert len(follow((FIRMWARE_LOG, FIRMWARE), *pieces).done) == 5


@given(st.lists(st.tuples(st.sampled_from([FIRMWARE_LOG, SERIAL]), st.binary(max_size=300)), max_size=8))
def test_arbitrary_consoles_are_followed(pieces: list[tuple[str, bytes]]) -> None:
    assert follow(*pieces).current is not None


def test_a_report_alone_is_no_login() -> None:
    follower = follow(
        (FIRMWARE_LOG, FIRMWARE), *((SERIAL, piece) for piece in BOOT[:3]), (REPORT, b"complete\n")
    )
    assert follower.current is not None
    assert follower.current.name == "login"
    follower.feed(SERIAL, BOOT[3], 9.0)
    assert follower.current is None


def test_serial_text_without_firmware_log_still_counts() -> None:
    assert names(follow((SERIAL, BOOT[0]))) == ["firmware", "boot loader"]


def test_fatal_line_is_quoted_and_is_no_progress() -> None:
    line = b"bootproof: FATAL: the layer base does not match its root hash: the medium is damaged\r\n"
    follower = follow((FIRMWARE_LOG, FIRMWARE), (SERIAL, BOOT[0]), (SERIAL, line[:30]), (SERIAL, line[30:]))
    assert names(follower) == ["firmware", "boot loader"]
    assert follower.fatal == line.decode().strip()


def test_kernel_panic_is_fatal() -> None:
    text = b"[    3.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\r\n"
    fatal = follow((SERIAL, text)).fatal
    assert fatal == "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100"


def test_every_phase_has_the_exit_code_of_its_kind() -> None:
    assert [phase.code for phase in PHASES] == [
        ExitCode.FIRMWARE, ExitCode.FIRMWARE,
        ExitCode.GUEST_TIMEOUT, ExitCode.GUEST_TIMEOUT, ExitCode.GUEST_TIMEOUT, ExitCode.GUEST_CHECK,
    ]  # fmt: skip


def test_limits_are_shorter_under_kvm() -> None:
    kernel = PHASES[2]
    assert Limits("kvm").seconds(kernel) < Limits("tcg").seconds(kernel)


def test_limits_grow_with_a_slow_host_up_to_four_times() -> None:
    kernel = PHASES[2]
    usual = Limits("tcg").seconds(kernel)
    slow, very_slow, quick = Limits("tcg"), Limits("tcg"), Limits("tcg")
    slow.observe(PHASES[0], PHASES[0].seconds * 2)
    very_slow.observe(PHASES[0], PHASES[0].seconds * 100)
    quick.observe(PHASES[0], PHASES[0].seconds / 100)
    assert slow.seconds(kernel) == usual * 2
    assert very_slow.seconds(kernel) == usual * 4
    assert quick.seconds(kernel) == usual


def test_recipes_limit_counts_from_the_kernels_start() -> None:
    kernel, initrd, login = PHASES[2:5]
    limits = Limits("tcg", login_seconds=100)
    assert limits.seconds(login) == 100
    limits.observe(kernel, 10)
    limits.observe(initrd, 5)
    assert limits.seconds(login) == 85
    assert Limits("kvm", login_seconds=100).seconds(login) == 50
