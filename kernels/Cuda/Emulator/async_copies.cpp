// Asynchronous copies of a CTA, and its mbarriers. Each copy happens at a random legal moment.
#include "cta.hpp"

namespace emulator {

void Cta::copy_async(uint32_t to, uint64_t from, uint32_t bytes, uint32_t source_bytes, const Site&)
{
    std::memset(arena_ + to, PoisonByte, bytes);
    Fiber& fiber = fibers_[running_];
    fiber.copies.push_back({to, from, bytes, source_bytes, fiber.groups});
    if (random(8) == 0)
        finish(fiber, random(static_cast<uint32_t>(fiber.copies.size())));
}

void Cta::copy_async_commit() { ++fibers_[running_].groups; }

void Cta::copy_async_wait(int groups)
{
    Fiber& fiber = fibers_[running_];
    if (random(4) == 0)
        leave(); // others run on meanwhile
    for (size_t i = fiber.copies.size(); i-- > 0;)
        if (fiber.copies[i].group + static_cast<uint64_t>(groups) < fiber.groups)
            finish(fiber, i);
}

// Carries a copy out and forgets it. It counts as its thread's write: the asynchronous proxy does not see it before a fence.
void Cta::finish(Fiber& fiber, size_t copy)
{
    const AsyncCopy c = fiber.copies[copy];
    fiber.copies[copy] = fiber.copies.back();
    fiber.copies.pop_back();
    if (c.source_bytes > 0)
        std::memcpy(arena_ + c.to, host_address(c.from), c.source_bytes);
    std::memset(arena_ + c.to + c.source_bytes, 0, c.bytes - c.source_bytes);
    for (uint32_t word = c.to / 4; word < (c.to + c.bytes) / 4; ++word)
        writers_[word] = fiber.thread->writer;
}

void Cta::copy_async_arrive(uint32_t address, const Site& site)
{
    find_mbarrier(address, site);
    fibers_[running_].arrivals.push_back({address, site});
    ++pending_arrivals_;
}

// All of the thread's copies are done by now, which is more than the arrival needs.
void Cta::arrive_after_copies(Fiber& fiber, size_t arrival)
{
    const PendingArrival pending = fiber.arrivals[arrival];
    fiber.arrivals.erase(fiber.arrivals.begin() + static_cast<std::ptrdiff_t>(arrival));
    --pending_arrivals_;
    while (!fiber.copies.empty())
        finish(fiber, fiber.copies.size() - 1);
    const auto found = mbarriers_.find(pending.mbarrier);
    if (found == mbarriers_.end())
        report(Fault::IllegalAddress, fiber.thread, pending.site, "the mbarrier was invalidated before the arrival came");
    else
        count_arrival(pending.mbarrier, found->second, 1, 0, pending.site);
}

void Cta::copy_bulk(uint32_t to, uint64_t from, uint32_t bytes, uint32_t address, const Site& site)
{
    const Mbarrier& mbarrier = find_mbarrier(address, site);
    if (mbarrier.initializer >= 0)
        fail(Fault::LaunchFailed, site, "the mbarrier at 0x%x was initialised without fence_mbarrier_init", address);
    std::memset(arena_ + to, PoisonByte, bytes);
    bulk_copies_.push_back({to, from, bytes, address, site});
}

void Cta::land(size_t copy)
{
    const BulkCopy c = bulk_copies_[copy];
    bulk_copies_.erase(bulk_copies_.begin() + static_cast<std::ptrdiff_t>(copy));
    std::memcpy(arena_ + c.to, host_address(c.from), c.bytes);
    for (uint32_t word = c.to / 4; word < (c.to + c.bytes) / 4; ++word)
        writers_[word] = 0;
    const auto found = mbarriers_.find(c.mbarrier);
    if (found == mbarriers_.end())
        report(Fault::IllegalAddress, nullptr, c.site, "the mbarrier was invalidated before the copy landed");
    else
        count_arrival(c.mbarrier, found->second, 0, -static_cast<int64_t>(c.bytes), c.site);
}

void Cta::store_bulk(uint64_t to, uint32_t from, uint32_t bytes, const Site& site)
{
    Fiber& fiber = fibers_[running_];
    fiber.stores.push_back({to, from, bytes, fiber.store_groups, site});
}

void Cta::store_bulk_commit() { ++fibers_[running_].store_groups; }

void Cta::store_bulk_wait(int groups)
{
    Fiber& fiber = fibers_[running_];
    if (!fiber.stores.empty())
        leave(); // others run on meanwhile
    for (size_t i = fiber.stores.size(); i-- > 0;)
        if (fiber.stores[i].group + static_cast<uint64_t>(groups) < fiber.store_groups)
            finish_store(fiber, i);
}

void Cta::finish_store(Fiber& fiber, size_t store)
{
    const BulkStore s = fiber.stores[store];
    fiber.stores.erase(fiber.stores.begin() + static_cast<std::ptrdiff_t>(store));
    std::string who;
    if (unpublished(s.from, s.bytes, who))
        report(Fault::LaunchFailed, fiber.thread, s.site, who);
    else
        std::memcpy(host_address(s.to), arena_ + s.from, s.bytes);
}

bool Cta::progress()
{
    // Where to start looking is random; so is, with it, what happens next.
    const uint32_t kind = random(3);
    for (uint32_t k = 0; k < 3; ++k) {
        const uint32_t which = (kind + k) % 3;
        if (which == 0 && !bulk_copies_.empty()) {
            land(random(static_cast<uint32_t>(bulk_copies_.size())));
            return true;
        }
        if (which == 1 && pending_arrivals_ > 0) {
            const uint32_t count = static_cast<uint32_t>(fibers_.size()), first = random(count);
            for (uint32_t i = 0; i < count; ++i)
                if (Fiber& fiber = fibers_[(first + i) % count]; !fiber.arrivals.empty()) {
                    arrive_after_copies(fiber, random(static_cast<uint32_t>(fiber.arrivals.size())));
                    return true;
                }
        }
        if (which == 2)
            for (Warpgroup& group : warpgroups_)
                if (!group.products.empty()) {
                    run_product(group);
                    return true;
                }
    }
    return false;
}

// Each mbarrier's eight bytes hold this, so that a stray write is noticed.
static uint64_t token(uint32_t address) { return 0x6d62617272696572ull ^ static_cast<uint64_t>(address) << 32; }

void Cta::mbarrier_init(uint32_t address, int count, const Site& site)
{
    uint8_t* at = shared_address(address, 8, 8, Access::Write, site);
    if (count < 1 || count >= 1 << 20)
        fail(Fault::IllegalInstruction, site, "a count of %d", count);
    if (mbarriers_.count(address) != 0)
        fail(Fault::LaunchFailed, site, "there is an mbarrier at 0x%x already", address);
    const uint64_t value = token(address);
    std::memcpy(at, &value, 8);
    mbarriers_[address] = {count, count, 0, 0, running_, {}};
}

void Cta::mbarrier_invalidate(uint32_t address, const Site& site)
{
    if (!find_mbarrier(address, site).waiting.empty())
        fail(Fault::LaunchFailed, site, "threads wait at the mbarrier at 0x%x", address);
    mbarriers_.erase(address);
}

void Cta::fence_mbarrier_init()
{
    for (auto& [address, mbarrier] : mbarriers_)
        if (mbarrier.initializer == running_)
            mbarrier.initializer = -1;
}

Mbarrier& Cta::find_mbarrier(uint32_t address, const Site& site)
{
    const auto found = mbarriers_.find(address);
    uint64_t value = 0;
    if (found != mbarriers_.end())
        std::memcpy(&value, arena_ + address, 8);
    if (found == mbarriers_.end() || value != token(address))
        fail(Fault::IllegalInstruction, site, found == mbarriers_.end() ? "no mbarrier was initialised at 0x%x" : "the mbarrier at 0x%x was overwritten", address);
    return found->second;
}

void Cta::count_arrival(uint32_t address, Mbarrier& mbarrier, int arrivals, int64_t bytes, const Site& site)
{
    mbarrier.pending -= arrivals;
    mbarrier.bytes += bytes;
    if (mbarrier.pending < 0) {
        report(Fault::LaunchFailed, nullptr, site, "more than the " + std::to_string(mbarrier.count) + " arrivals of the mbarrier at "
               + std::to_string(address) + " in one phase");
        return;
    }
    if (mbarrier.pending > 0 || mbarrier.bytes != 0)
        return;
    ++mbarrier.phase;
    mbarrier.pending = mbarrier.count;
    for (int thread : mbarrier.waiting)
        wake(thread);
    mbarrier.waiting.clear();
}

void Cta::mbarrier_arrive(uint32_t address, int expected, const Site& site)
{
    count_arrival(address, find_mbarrier(address, site), 1, expected, site);
}

bool Cta::mbarrier_test(uint32_t address, uint32_t parity, const Site& site)
{
    const bool ended = (find_mbarrier(address, site).phase & 1) != parity;
    if (!ended)
        pause(); // others get to run before the next try
    return ended;
}

// Looks again when it is woken, as a polling thread would: one that falls two phases behind waits for ever.
void Cta::mbarrier_wait(uint32_t address, uint32_t parity, const Site& site)
{
    if (parity > 1)
        fail(Fault::IllegalInstruction, site, "parity %u", parity);
    for (;;) {
        Mbarrier& mbarrier = find_mbarrier(address, site);
        if ((mbarrier.phase & 1) != parity)
            return;
        mbarrier.waiting.push_back(running_);
        wait(State::AtMbarrier, site, address);
    }
}

} // namespace emulator
