/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Opens a layer through dm-verity: a few ioctls on /dev/mapper/control, no library.
 *
 *     verity NAME DEVICE BLOCKS ROOTHASH
 *
 * DEVICE holds BLOCKS data blocks of 4096 bytes, then the hash tree (sha256, no salt, no superblock). On success the device
 * /dev/dm-N exists and is read-only; N counts from 0 in the order of calls. The exit status is 0, or 1 after a message on standard error.
 *
 * It is freestanding because it is measured and read at every boot: 9 KB here instead of 2 MB of dmsetup and its libraries.
 * Interface: linux/dm-ioctl.h; table: Documentation/admin-guide/device-mapper/verity.rst.
 */
#include <linux/dm-ioctl.h>
#include <linux/ioctl.h>

enum { SYS_WRITE = 1, SYS_OPEN = 2, SYS_IOCTL = 16, SYS_EXIT = 60 };
enum { OPEN_READ_WRITE = 2, SECTORS_PER_BLOCK = 8, BUFFER_SIZE = 4096 };

static long system_call(long number, long first, long second, long third)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third)
                     : "rcx", "r11", "memory");
    return result;
}

static unsigned length_of(const char *text)
{
    unsigned length = 0;
    while (text[length])
        length++;
    return length;
}

static _Noreturn void leave(int status)
{
    for (;;)
        system_call(SYS_EXIT, status, 0, 0);
}

static _Noreturn void fail(const char *what)
{
    static const char newline[] = "\n";
    system_call(SYS_WRITE, 2, (long)what, length_of(what));
    system_call(SYS_WRITE, 2, (long)newline, 1);
    leave(1);
}

/* Appends text and a blank; the end of the buffer is a hard limit. */
static char *append(char *at, const char *end, const char *text)
{
    while (*text) {
        if (at + 2 >= end)
            fail("verity: the table is too long");
        *at++ = *text++;
    }
    *at++ = ' ';
    *at = 0;
    return at;
}

static unsigned long long number_of(const char *text)
{
    unsigned long long value = 0;
    if (!*text)
        fail("verity: BLOCKS is empty");
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > (1ULL << 50))
            fail("verity: BLOCKS is not a number");
        value = value * 10 + (unsigned)(*text - '0');
    }
    return value;
}

static union {
    struct dm_ioctl header;
    char bytes[BUFFER_SIZE];
} request;

static void prepare(const char *name)
{
    unsigned at;
    for (at = 0; at < sizeof request; at++)
        request.bytes[at] = 0;
    request.header.version[0] = DM_VERSION_MAJOR;
    request.header.data_size = sizeof request;
    request.header.data_start = sizeof request.header;
    request.header.flags = DM_READONLY_FLAG;
    for (at = 0; name[at] && at + 1 < sizeof request.header.name; at++)
        request.header.name[at] = name[at];
}

static void write_table(char **words)
{
    const char *device = words[2], *blocks = words[3], *root_hash = words[4];
    struct dm_target_spec *target = (void *)(request.bytes + sizeof request.header);
    char *at = (char *)(target + 1), *end = request.bytes + sizeof request;

    target->length = number_of(blocks) * SECTORS_PER_BLOCK;
    at = append((char *)target->target_type, target->target_type + sizeof target->target_type, "verity");
    at[-1] = 0; /* the name has no blank */
    request.header.target_count = 1;
    at = (char *)(target + 1);
    at = append(at, end, "1");
    at = append(at, end, device); /* data */
    at = append(at, end, device); /* hash tree */
    at = append(at, end, "4096 4096");
    at = append(at, end, blocks);
    at = append(at, end, blocks); /* the tree begins where the data ends */
    at = append(at, end, "sha256");
    at = append(at, end, root_hash);
    append(at, end, "-"); /* no salt */
}

/* Called from the start code below with the stack as the kernel made it: argc, argv[0], ... */
__attribute__((used)) static _Noreturn void begin(long *stack)
{
    long argc = stack[0], control;
    char **words = (char **)(stack + 1);

    if (argc != 5)
        fail("usage: verity NAME DEVICE BLOCKS ROOTHASH");
    control = system_call(SYS_OPEN, (long)"/dev/mapper/control", OPEN_READ_WRITE, 0);
    if (control < 0)
        fail("verity: cannot open /dev/mapper/control");
    prepare(words[1]);
    if (system_call(SYS_IOCTL, control, DM_DEV_CREATE, (long)&request) < 0)
        fail("verity: cannot create the device");
    prepare(words[1]);
    write_table(words);
    if (system_call(SYS_IOCTL, control, DM_TABLE_LOAD, (long)&request) < 0)
        fail("verity: the kernel refuses the table");
    prepare(words[1]); /* DM_DEV_SUSPEND without its flag resumes: the table becomes active */
    if (system_call(SYS_IOCTL, control, DM_DEV_SUSPEND, (long)&request) < 0)
        fail("verity: the device does not start");
    leave(0);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
