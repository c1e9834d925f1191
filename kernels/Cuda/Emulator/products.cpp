// wgmma products of a CTA's warpgroups, and what the asynchronous proxy sees of shared memory.
#include "cta.hpp"
#include <algorithm>

namespace emulator {

void Cta::fence_async_proxy() { ++fibers_[running_].thread->writer; }

// Whether a thread wrote some of these bytes and has not fenced since.
bool Cta::unpublished(uint32_t address, uint32_t bytes, std::string& who) const
{
    for (uint32_t word = address / 4; word < (address + bytes + 3) / 4; ++word) {
        const uint32_t writer = writers_[word];
        if (writer == 0 || fibers_[(writer >> WriterShift) - 1].thread->writer != writer)
            continue;
        who = "reads shared address " + std::to_string(word * 4) + ", which thread " + std::to_string((writer >> WriterShift) - 1)
            + " wrote without fence_async_proxy";
        return true;
    }
    return false;
}

const uint8_t* Cta::read(uint32_t address)
{
    static const uint8_t nothing[16] = {};
    std::string who;
    if (address < SharedBase || address % 16 != 0 || address + 16 > SharedBase + launch_->shared_bytes) {
        report(Fault::IllegalAddress, nullptr, *reading_, "16 bytes at shared address " + std::to_string(address));
        return nothing;
    }
    if (unpublished(address, 16, who)) {
        report(Fault::LaunchFailed, nullptr, *reading_, who);
        return nothing;
    }
    return arena_ + address;
}

void Cta::multiply_fence(const Site&) { fibers_[running_].product_fence = true; }

void Cta::multiply_commit()
{
    ++fibers_[running_].product_groups;
    fibers_[running_].product_fence = false;
}

void Cta::multiply_async(const ProductPart& part, const Site& site)
{
    const size_t number = static_cast<size_t>(running_) / 128;
    if (number >= warpgroups_.size())
        fail(Fault::IllegalInstruction, site, "the thread belongs to no warpgroup of four whole warps");
    if (!fibers_[running_].product_fence)
        fail(Fault::LaunchFailed, site, "no wgmma_fence since the last wgmma_commit: the registers' order is undefined");
    Warpgroup& group = warpgroups_[number];
    if (group.arrived > 0 && !same(group.site, site))
        fail(Fault::LaunchFailed, site, "the warpgroup diverged: other threads are at line %d", group.site.line);
    group.site = site;
    group.parts[running_ % 128] = &part;
    if (++group.arrived < 128) {
        wait(State::AtProduct, site, static_cast<uint32_t>(number));
        return;
    }
    group.arrived = 0;
    start_product(group, site);
    for (int t = 0; t < 128; ++t)
        if (const int thread = static_cast<int>(number) * 128 + t; thread != running_)
            wake(thread);
}

void Cta::start_product(Warpgroup& group, const Site& site)
{
    const int first = running_ / 128 * 128;
    const ProductPart& part = *group.parts[0];
    if (part.descriptor_b >> 49 & 7 || part.descriptor_a >> 49 & 7)
        fail(Fault::IllegalInstruction, site, "descriptors with a base offset are not emulated");
    PendingProduct pending{{{}, part.descriptor_a, part.descriptor_b, part.transpose_b, part.accumulate, part.multiply}, 0,
                           fibers_[first].product_groups, site};
    for (int t = 0; t < 128; ++t) {
        const ProductPart& other = *group.parts[t];
        if (other.descriptor_a != part.descriptor_a || other.descriptor_b != part.descriptor_b || other.accumulate != part.accumulate
            || other.multiply != part.multiply || fibers_[first + t].product_groups != pending.group)
            fail(Fault::LaunchFailed, site, "thread %d of the warpgroup has another descriptor, flag or number of groups than thread 0", t);
        pending.product.a[t] = other.a;
    }
    Accumulator& accumulator = take_accumulator(group, site);
    accumulator.last_group = pending.group;
    pending.accumulator = static_cast<size_t>(&accumulator - group.accumulators.data());
    group.products.push_back(pending);
}

// The accumulators in flight that these registers are, or new ones with the registers' values, which are replaced by poison.
Accumulator& Cta::take_accumulator(Warpgroup& group, const Site& site)
{
    Accumulator* found = nullptr;
    for (Accumulator& accumulator : group.accumulators)
        if (accumulator.registers != 0 && accumulator.d[0] == group.parts[0]->d)
            found = &accumulator;
    const int registers = group.parts[0]->registers;
    if (found != nullptr && found->registers != registers)
        fail(Fault::LaunchFailed, site, "the accumulators are in flight with another shape");
    if (found == nullptr) {
        for (Accumulator& accumulator : group.accumulators)
            if (accumulator.registers == 0)
                found = &accumulator;
        if (found == nullptr)
            found = &group.accumulators.emplace_back();
        found->registers = registers;
        found->values.assign(static_cast<size_t>(registers) * 128, 0);
        std::fill(std::begin(found->waited), std::end(found->waited), true);
    }
    for (int t = 0; t < 128; ++t) {
        found->d[t] = group.parts[t]->d;
        if (found->waited[t]) {
            std::memcpy(&found->values[static_cast<size_t>(t * registers)], found->d[t], static_cast<size_t>(registers) * 4);
            std::memset(found->d[t], PoisonByte, static_cast<size_t>(registers) * 4);
        }
        found->waited[t] = false;
    }
    return *found;
}

// The oldest product of the group.
void Cta::run_product(Warpgroup& group)
{
    const PendingProduct pending = group.products.front();
    group.products.erase(group.products.begin());
    reading_ = &pending.site;
    pending.product.multiply(pending.product, group.accumulators[pending.accumulator].values.data(), *this);
    for (int thread : group.waiting)
        wake(thread);
    group.waiting.clear();
}

void Cta::check_products_waited()
{
    if (const size_t number = static_cast<size_t>(running_) / 128; number < warpgroups_.size())
        for (const Accumulator& accumulator : warpgroups_[number].accumulators)
            if (accumulator.registers != 0 && !accumulator.waited[running_ % 128])
                fail(Fault::LaunchFailed, {"return", nullptr, 0}, "the thread ends without wgmma_wait for its products");
}

void Cta::multiply_wait(int groups, const Site& site)
{
    const Fiber& fiber = fibers_[running_];
    const size_t number = static_cast<size_t>(running_) / 128;
    if (number >= warpgroups_.size())
        fail(Fault::IllegalInstruction, site, "the thread belongs to no warpgroup of four whole warps");
    Warpgroup& group = warpgroups_[number];
    const auto done = [&](uint64_t product_group) { return product_group + static_cast<uint64_t>(groups) < fiber.product_groups; };
    // Others run on meanwhile: the product may happen late.
    while (!group.products.empty() && done(group.products.front().group)) {
        group.waiting.push_back(running_);
        wait(State::AtProduct, site, static_cast<uint32_t>(number));
    }
    for (Accumulator& accumulator : group.accumulators)
        if (accumulator.registers != 0 && !accumulator.waited[running_ % 128] && done(accumulator.last_group))
            give_back(accumulator, running_ % 128, site);
}

void Cta::give_back(Accumulator& accumulator, int thread, const Site& site)
{
    const size_t bytes = static_cast<size_t>(accumulator.registers) * 4;
    uint8_t* registers = static_cast<uint8_t*>(accumulator.d[thread]);
    if (std::any_of(registers, registers + bytes, [](uint8_t byte) { return byte != PoisonByte; }))
        fail(Fault::LaunchFailed, site, "the accumulators were written while a product was under way");
    std::memcpy(registers, &accumulator.values[static_cast<size_t>(thread * accumulator.registers)], bytes);
    accumulator.waited[thread] = true;
    if (std::all_of(std::begin(accumulator.waited), std::end(accumulator.waited), [](bool waited) { return waited; }))
        accumulator.registers = 0;
}

} // namespace emulator
