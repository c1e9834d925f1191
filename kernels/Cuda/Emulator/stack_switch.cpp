#include "stack_switch.hpp"
#include <new>
#include <sys/mman.h>

#if defined(__x86_64__)
asm(R"(
.text
.globl llamaserve_emulator_switch
.hidden llamaserve_emulator_switch
.type llamaserve_emulator_switch, @function
llamaserve_emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size llamaserve_emulator_switch, .-llamaserve_emulator_switch
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl llamaserve_emulator_switch
.hidden llamaserve_emulator_switch
.type llamaserve_emulator_switch, %function
llamaserve_emulator_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
.size llamaserve_emulator_switch, .-llamaserve_emulator_switch
)");
#else
#error "the emulator's stack switch is written for x86-64 and AArch64"
#endif

namespace emulator {

static constexpr size_t PageBytes = 4096;

StackPool::~StackPool()
{
    for (void* mapping : mappings_)
        munmap(mapping, (StacksPerMapping + 1) * StackBytes);
}

Thread& StackPool::thread(size_t i)
{
    while (stacks_.size() <= i) {
        void* mapping = mmap(nullptr, (StacksPerMapping + 1) * StackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping == MAP_FAILED)
            throw std::bad_alloc();
        mappings_.push_back(mapping);
        uint8_t* first = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(mapping) + StackBytes - 1) & ~(StackBytes - 1));
        for (size_t s = 0; s < StacksPerMapping; ++s) {
            stacks_.push_back(first + s * StackBytes);
            mprotect(stacks_.back() + PageBytes, PageBytes, PROT_NONE);
        }
    }
    return *reinterpret_cast<Thread*>(stacks_[i]);
}

void* StackPool::prepare(Thread& thread, void (*entry)())
{
    void** top = reinterpret_cast<void**>(reinterpret_cast<uint8_t*>(&thread) + StackBytes);
#if defined(__x86_64__)
    top -= 2;         // sixteen-byte alignment, as a call leaves it: entry sees the missing return address
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(entry);
    for (int saved = 0; saved < 6; ++saved)
        *--top = nullptr;
#else
    top -= 20;
    for (int saved = 0; saved < 20; ++saved)
        top[saved] = nullptr;
    top[11] = reinterpret_cast<void*>(entry); // x30
#endif
    return top;
}

} // namespace emulator
