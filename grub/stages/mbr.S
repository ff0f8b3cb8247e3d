# SPDX-License-Identifier: GPL-3.0-or-later
# The first 440 bytes of a disk or stick. Firmware has measured them (PCR 4); they read the El Torito image's first
# 2048 bytes, measure the first 512 of those, and go on there. The builder writes where the image lies.

.intel_syntax noprefix
.code16

.set STAGE,     0x600
.set NEXT,      STAGE
.set NEXT_SIZE, 512
.set FROM_MBR,  0x80            # where the stage goes on when it comes from a disk

.globl _start
_start:
        cli
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7c00
        sti
        cld
        ljmp    0, offset relocated
relocated:
        push    dx
        mov     ah, 0x42
        mov     si, offset packet
        int     0x13
        mov     si, offset read_error
        jc      stop
        mov     al, 1
        call    find_tpm
        call    measure_next
        pop     dx
        ljmp    0, STAGE + FROM_MBR

.include "tpm.inc"

read_error:     .asciz  "Cannot read the disk"

        .org    0x1a8
packet:                         # of INT 13h, function 42h
        .byte   16, 0
        .word   4, STAGE, 0
        .quad   0               # set by the builder: sector of the El Torito image, of 512 bytes
