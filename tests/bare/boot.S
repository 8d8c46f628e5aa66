/* A disk that starts by itself: 512 bytes that the firmware loads read the rest to 0x10000, turn 64-bit mode and all
 * vector and tile state on, and call main.  No operating system: what keeps one from starting in an emulator is not
 * what is tested here. */
.set SECTORS, 0x380                 /* 448 KiB: up to where firmware keeps its own data */
.set CHUNK, 0x40
.section .boot, "ax"
.code16
    ljmp $0, $begin
begin:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0x7c00, %sp
    mov $SECTORS / CHUNK, %cx
1:  mov $packet, %si
    mov $0x42, %ah                  /* INT 13h, extended read; dl is still the drive */
    int $0x13
    jc 1b
    addw $CHUNK * 512 / 16, packet + 6
    addl $CHUNK, packet + 8
    loop 1b
    cli                             /* again: firmware may have allowed interrupts */
    in $0x92, %al                   /* address line 20 */
    or $2, %al
    out %al, $0x92
    lgdt gdt_at
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmp $8, $protected
.align 4
packet: .byte 16, 0, CHUNK, 0
    .word 0, 0x1000                 /* offset, segment */
    .quad 1                         /* first sector */
.align 8
gdt: .quad 0
    .quad 0x00cf9a000000ffff        /* 8: code, 32 bits */
    .quad 0x00cf92000000ffff        /* 16: data */
    .quad 0x00af9a000000ffff        /* 24: code, 64 bits */
gdt_at: .word gdt_at - gdt - 1
    .long gdt
.code32
protected:
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $bss_begin, %edi
    mov $bss_end, %ecx
    sub %edi, %ecx
    xor %eax, %eax
    rep stosb
    jmp long_mode
.org 510
    .word 0xaa55

.text
long_mode:                          /* the first GiB where it is, in pages of 2 MiB */
    movl $pdpt + 3, pml4
    movl $pages + 3, pdpt
    mov $pages, %edi
    mov $0x83, %eax
    mov $512, %ecx
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0x40620, %eax              /* PAE, FXSR, SIMD exceptions, XSAVE */
    mov %eax, %cr4
    mov $0xc0000080, %ecx           /* EFER.LME */
    rdmsr
    or $0x100, %eax
    wrmsr
    mov $0x80000033, %eax
    mov %eax, %cr0
    ljmp $24, $wide
.code64
wide:
    xor %ecx, %ecx
    xor %edx, %edx
    mov $0x600e7, %eax              /* x87, SSE, AVX, AVX-512, tiles */
    xsetbv
    mov $stack_end, %rsp
    call main
    mov $0x8900, %dx                /* what Bochs takes for the power switch */
    mov $word, %esi
1:  lodsb
    out %al, %dx
    test %al, %al
    jnz 1b
2:  hlt
    jmp 2b
word: .asciz "Shutdown"

.bss
.align 4096
pml4: .skip 4096
pdpt: .skip 4096
pages: .skip 4096
    .skip 1 << 18
stack_end:
.section .note.GNU-stack, "", @progbits
