# SPDX-License-Identifier: GPL-3.0-or-later
# The El Torito image's first 2048 bytes, before GRUB's core. Firmware loads them all and measures the first 512
# (PCR 4): those measure the next 1024, which load GRUB's core and measure it piece by piece before it runs.
# A disk comes here by way of the MBR, which has measured the first 512 bytes.

.intel_syntax noprefix
.code16

.set STAGE,       0x600
.set NEXT,        STAGE + 0x200  # loader
.set NEXT_SIZE,   1024

.set DRIVE,       0x500         # u8
.set SHIFT,       0x501         # u8: sectors of 2048 bytes as the drive counts them: 0 (CD) or 2 (disk) bits more
.set PACKET,      0x510         # of INT 13h, function 42h
.set CORE,        0x8000        # where GRUB's core expects itself to be; its first sector is not run
.set CORE_ENTRY,  CORE + 0x200
.set PIECE,       16            # sectors of 2048 bytes that are read and measured at a time
.set UPDATE_SIZE, 29 + 1024     # of TPM2_SequenceUpdate
.set UPDATE_HEAD, 8 + 29        # its input block without the data

.globl _start
_start:
        jmp     from_cd
        .org    8
boot_info:                      # written by whoever makes the ISO; little endian
        .long   0
image_sector:   .long   0       # of 2048 bytes
image_size:     .long   0       # bytes
        .space  44

from_cd:                        # at 0x7c00, in segment 0 or 0x7c0
        cli
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7c00
        sti
        cld
        mov     si, 0x7c00
        mov     di, STAGE
        mov     cx, 1024
        rep movsw
        ljmp    0, offset relocated

        .org    0x80
from_mbr:                       # at STAGE
        mov     byte ptr [SHIFT], 2
        mov     byte ptr [DRIVE], dl
        jmp     1f
relocated:
        mov     byte ptr [SHIFT], 0
        mov     byte ptr [DRIVE], dl
        xor     al, al
        call    find_tpm
1:      call    measure_next
        jmp     loader

.include "tpm.inc"

        .org    0x200
loader:
        mov     eax, dword ptr [image_size]
        shr     eax, 11
        dec     ax
        mov     bp, ax                          # sectors to go, of 2048 bytes
        mov     edi, dword ptr [image_sector]
        inc     edi
        mov     dx, CORE >> 4                   # segment
next_piece:
        mov     cx, PIECE
        cmp     bp, cx
        jae     1f
        mov     cx, bp
1:      pusha
        push    edi
        call    read_piece
        pop     edi
        popa
        pusha
        push    edi
        call    measure_piece
        pop     edi
        popa
        sub     bp, cx
        movzx   eax, cx
        add     edi, eax
        shl     cx, 7
        add     dx, cx
        test    bp, bp
        jnz     next_piece
        mov     dl, byte ptr [DRIVE]
        ljmp    0, CORE_ENTRY

# Read CX sectors of 2048 bytes from sector EDI on into segment DX; another try or two if the drive is not ready.
read_piece:
        mov     word ptr [PACKET + 4], 0
        mov     word ptr [PACKET + 6], dx
        mov     dx, cx
        mov     cl, byte ptr [SHIFT]
        shl     dx, cl
        shl     edi, cl
        mov     dword ptr [PACKET + 8], edi
        mov     dword ptr [PACKET + 12], 0
        mov     bp, 5
1:      mov     word ptr [PACKET], 16
        mov     word ptr [PACKET + 2], dx
        push    dx
        mov     ah, 0x42
        mov     dl, byte ptr [DRIVE]
        mov     si, PACKET
        int     0x13
        pop     dx
        jnc     2f
        push    dx
        xor     ah, ah
        mov     dl, byte ptr [DRIVE]
        int     0x13
        pop     dx
        dec     bp
        jnz     1b
        mov     si, offset read_error
        jmp     stop
2:      ret

# Measure CX sectors of 2048 bytes at segment DX into PCR 4.
measure_piece:
        cmp     byte ptr [KIND], TPM_OFF
        jbe     9f
        cmp     byte ptr [KIND], TPM_20
        je      1f
        movzx   ecx, cx
        shl     ecx, 11
        mov     es, dx
        xor     edi, edi
        mov     edx, BOOT_PCR
        mov     esi, MAGIC
        mov     ax, COMPACT
        call    tcg_bios
        jnz     tpm_failed
9:      ret

1:      mov     bp, cx
        shl     bp, 1                           # pieces of 1024 bytes
        mov     di, offset start_request
        call    next_response
        call    send
        mov     ebx, dword ptr [si + 14]        # handle of the sequence
        mov     dword ptr [update_handle], ebx
        mov     dword ptr [complete_handle], ebx
2:      mov     si, offset update_request
        mov     di, REQUEST
        mov     cx, UPDATE_HEAD
        rep movsb
        mov     ds, dx
        xor     si, si
        mov     cx, 1024
        rep movsb
        mov     ds, cx                          # 0 by now
        mov     di, REQUEST
        call    next_response
        call    send
        add     dx, 1024 >> 4
        dec     bp
        jnz     2b
        mov     di, offset complete_request
        call    next_response
        call    send
        inc     word ptr [RESPONSE_COUNT]
        ret

# As pass_through, but what the TPM refuses stops the machine. Keeps BP and DX.
send:
        pusha
        call    pass_through
        popa
        jnz     tpm_failed
        cmp     dword ptr [si + 10], 0
        jne     tpm_failed
        ret

start_request:                                  # TPM2_HashSequenceStart, all banks
        input_block 14
        be16    0x8001
        be32    14
        be32    0x186
        be16    0
        be16    0x10

update_request:                                 # TPM2_SequenceUpdate
        input_block UPDATE_SIZE
        be16    0x8002
        be32    UPDATE_SIZE
        be32    0x15c
update_handle:
        be32    0
        be32    9
        password
        be16    1024

complete_request:                               # TPM2_EventSequenceComplete
        input_block 42
        be16    0x8002
        be32    42
        be32    0x185
        be32    BOOT_PCR
complete_handle:
        be32    0
        be32    18
        password
        password
        be16    0

read_error:     .asciz  "Cannot read the medium"

        .org    0x800
