// Fibers' stacks and the switch between them.
#pragma once
#include "machine.hpp"
#include <vector>

namespace emulator {

// Saves the callee-saved registers and the stack pointer to *save, and continues on the stack `to`.
extern "C" void llamaserve_emulator_switch(void** save, void* to);

// Stacks of StackBytes, aligned to that, each with its Thread in the lowest page and a guard page above it.
class StackPool {
public:
    StackPool() = default;
    StackPool(const StackPool&) = delete;
    StackPool& operator=(const StackPool&) = delete;
    ~StackPool();
    // The Thread of stack i; makes more stacks as needed.
    Thread& thread(size_t i);
    // Prepares the stack to run `entry`, which never returns. Gives the stack pointer to switch to.
    static void* prepare(Thread& thread, void (*entry)());

private:
    static constexpr size_t StacksPerMapping = 64;
    std::vector<uint8_t*> stacks_;
    std::vector<void*> mappings_;
};

} // namespace emulator
