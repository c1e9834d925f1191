// The memory that kernels reach, the device's and the host's page-locked: which stretches are allocated.
#pragma once
#include "machine.hpp"
#include <map>
#include <string>

namespace emulator {

struct Allocation {
    uint64_t begin, bytes; // begin: the address for kernels, a multiple of 256
    uint64_t number;       // counts allocations
    bool on_host;
    void* mapping;
    size_t mapped_bytes;
};

class Allocations {
public:
    // Bytes of the device and of the host.
    Allocations(uint64_t capacity, uint64_t host_capacity) : capacity_(capacity), host_capacity_(host_capacity) {}
    Allocations(const Allocations&) = delete;
    Allocations& operator=(const Allocations&) = delete;
    ~Allocations();
    // Device address of fresh, poisoned memory with unmapped room on both sides; 0 when it does not fit.
    uint64_t allocate(uint64_t bytes);
    // The same in the host's memory, at an address that the host may follow.
    uint64_t lock_host(uint64_t bytes);
    // False when nothing was allocated there at that address.
    bool release(uint64_t address, bool on_host);
    // The allocation that holds the address, or null.
    const Allocation* find(uint64_t address) const;
    bool contains(uint64_t address, uint64_t bytes) const;
    // How the address lies to the nearest allocation below it on its side.
    std::string describe(uint64_t address) const;
    uint64_t capacity() const { return capacity_; }
    uint64_t used() const { return used_; }

private:
    uint64_t map(uint64_t bytes, bool on_host);
    const uint64_t capacity_, host_capacity_;
    uint64_t used_ = 0, host_used_ = 0, count_ = 0;
    std::map<uint64_t, Allocation> by_begin_;
};

} // namespace emulator
