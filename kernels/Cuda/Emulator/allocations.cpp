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

uint64_t Allocations::allocate(uint64_t bytes)
{
    if (bytes > capacity_ - used_)
        return 0;
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
    const uint64_t address = reinterpret_cast<uint64_t>(begin) + DeviceBias;
    by_begin_[address] = {address, bytes, ++count_, mapping, mapped};
    used_ += bytes;
    return address;
}

bool Allocations::release(uint64_t address)
{
    const auto found = by_begin_.find(address);
    if (found == by_begin_.end())
        return false;
    used_ -= found->second.bytes;
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
    if (after == by_begin_.begin())
        return "below every allocation";
    const Allocation& below = std::prev(after)->second;
    char text[160];
    std::snprintf(text, sizeof text, "byte %" PRIu64 " of allocation %" PRIu64 ", which has %" PRIu64 " bytes at 0x%" PRIx64,
                  address - below.begin, below.number, below.bytes, below.begin);
    return text;
}

} // namespace emulator
