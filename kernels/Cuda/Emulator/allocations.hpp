// The device's memory: which stretches are allocated.
#pragma once
#include "machine.hpp"
#include <map>
#include <string>

namespace emulator {

struct Allocation {
    uint64_t begin, bytes; // begin: device address, a multiple of 256
    uint64_t number;       // counts allocations
    void* mapping;
    size_t mapped_bytes;
};

class Allocations {
public:
    explicit Allocations(uint64_t capacity) : capacity_(capacity) {}
    Allocations(const Allocations&) = delete;
    Allocations& operator=(const Allocations&) = delete;
    ~Allocations();
    // Device address of fresh, poisoned memory with unmapped room on both sides; 0 when it does not fit.
    uint64_t allocate(uint64_t bytes);
    // False when nothing was allocated at that address.
    bool release(uint64_t address);
    // The allocation that holds the address, or null.
    const Allocation* find(uint64_t address) const;
    bool contains(uint64_t address, uint64_t bytes) const;
    // How the address lies to the nearest allocation below it.
    std::string describe(uint64_t address) const;
    uint64_t capacity() const { return capacity_; }
    uint64_t used() const { return used_; }

private:
    const uint64_t capacity_;
    uint64_t used_ = 0, count_ = 0;
    std::map<uint64_t, Allocation> by_begin_;
};

} // namespace emulator
