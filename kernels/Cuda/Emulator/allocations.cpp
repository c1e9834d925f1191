#include "allocations.hpp"
#include <cinttypes>
#include <cstdio>
#include <sys/mman.h>

namespace emulator {

static constexpr size_t GapBytes = 1 << 20, PageBytes = 4096;

Allocations::~Allocations()
{
    for (const auto& [begin, allocation] : by_begin_)
        munmap(allocation.mapping, allocation.mapped_bytes);
}

uint64_t Allocations::allocate(uint64_t bytes) { return bytes > capacity_ - used_ ? 0 : map(bytes, false); }
uint64_t Allocations::lock_host(uint64_t bytes) { return bytes > host_capacity_ - host_used_ ? 0 : map(bytes, true); }

uint64_t Allocations::map(uint64_t bytes, bool on_host)
{
    const size_t usable = (bytes + PageBytes - 1) / PageBytes * PageBytes, mapped = usable + 2 * GapBytes;
    void* mapping = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED)
        return 0;
    uint8_t* begin = static_cast<uint8_t*>(mapping) + GapBytes;
    if (mprotect(begin, usable, PROT_READ | PROT_WRITE) != 0) {
        munmap(mapping, mapped);
        return 0;
    }
    std::memset(begin, PoisonByte, usable);
    const uint64_t address = reinterpret_cast<uint64_t>(begin) + (on_host ? 0 : DeviceBias);
    by_begin_[address] = {address, bytes, ++count_, on_host, mapping, mapped};
    (on_host ? host_used_ : used_) += bytes;
    return address;
}

bool Allocations::release(uint64_t address, bool on_host)
{
    const auto found = by_begin_.find(address);
    if (found == by_begin_.end() || found->second.on_host != on_host)
        return false;
    (on_host ? host_used_ : used_) -= found->second.bytes;
    munmap(found->second.mapping, found->second.mapped_bytes);
    by_begin_.erase(found);
    return true;
}

const Allocation* Allocations::find(uint64_t address) const
{
    auto after = by_begin_.upper_bound(address);
    if (after == by_begin_.begin())
        return nullptr;
    const Allocation& below = std::prev(after)->second;
    return address - below.begin < below.bytes ? &below : nullptr;
}

bool Allocations::contains(uint64_t address, uint64_t bytes) const
{
    const Allocation* allocation = find(address);
    return bytes == 0 || (allocation != nullptr && bytes <= allocation->bytes - (address - allocation->begin));
}

std::string Allocations::describe(uint64_t address) const
{
    auto after = by_begin_.upper_bound(address);
    if (after == by_begin_.begin() || (std::prev(after)->second.on_host && address >= DeviceBias))
        return "below every allocation";
    const Allocation& below = std::prev(after)->second;
    char text[160];
    std::snprintf(text, sizeof text, "byte %" PRIu64 " of %sallocation %" PRIu64 ", which has %" PRIu64 " bytes at 0x%" PRIx64,
                  address - below.begin, below.on_host ? "page-locked " : "", below.number, below.bytes, below.begin);
    return text;
}

} // namespace emulator
