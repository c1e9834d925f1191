#include "cta.hpp"
#include <algorithm>
#include <cinttypes>

namespace emulator {

static constexpr uint32_t PreemptionPeriod = 400; // memory accesses, on average half of this

void Cta::start(Launch& launch, Dim3 block)
{
    launch_ = &launch;
    block_ = block;
    random_ = launch.seed ^ (((static_cast<uint64_t>(block.z) << 20 ^ block.y) << 24 ^ block.x) * 0x9e3779b97f4a7c15ull);
    next_random(random_);
    // The base is as aligned as on a GPU; the arena's first KB belongs to no one.
    shared_.resize(launch.shared_bytes + SharedBase + 1024);
    arena_ = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(shared_.data()) + 1023) & ~uintptr_t{1023});
    std::memset(arena_ + SharedBase, PoisonByte, launch.shared_bytes);
    writers_.assign((SharedBase + launch.shared_bytes) / 4 + 4, 0);
    mbarriers_.clear();
    bulk_copies_.clear();
    pending_arrivals_ = 0;
    warpgroups_.assign(static_cast<size_t>(launch.threads()) / 128, {});
    live_ = launch.threads();
    fibers_.resize(live_);
    const int warps = (live_ + 31) / 32;
    warps_.resize(warps);
    for (int w = 0; w < warps; ++w) {
        const int lanes = std::min(32, live_ - 32 * w);
        const uint32_t exist = lanes == 32 ? ~0u : (1u << lanes) - 1;
        warps_[w].ready = exist;
        warps_[w].exited = ~exist;
        warps_[w].at_barrier = 0;
        warps_[w].pending.clear();
    }
    for (Barrier& barrier : barriers_) {
        barrier.arrived = barrier.threads = 0;
        barrier.waiting.clear();
    }
    last_warp_ = 0;
    static constexpr uint32_t Stickiness[] = {0, 230, 256};
    stickiness_ = Stickiness[random(3)];
    static constexpr uint32_t Eagerness[] = {0, 8, 64};
    eagerness_ = Eagerness[random(3)];
    until_preemption_ = 1 + static_cast<int32_t>(random(PreemptionPeriod));
    const Dim3 size = launch.block;
    for (int t = 0; t < live_; ++t) {
        Thread& thread = stacks_.thread(static_cast<size_t>(t));
        const uint32_t i = static_cast<uint32_t>(t);
        thread = {this, windows_, &until_preemption_, arena_, writers_.data(), (i + 1) << WriterShift, SharedBase + launch.shared_bytes, i, launch.lint,
                  {i % size.x, i / size.x % size.y, i / size.x / size.y}, block, size, launch.grid};
        Fiber& fiber = fibers_[t];
        fiber.thread = &thread;
        fiber.stack = StackPool::prepare(thread, thread_main);
        fiber.state = State::Ready;
        fiber.groups = fiber.store_groups = fiber.product_groups = 0;
        fiber.product_fence = false;
        fiber.copies.clear();
        fiber.arrivals.clear();
        fiber.stores.clear();
    }
}

void Cta::thread_main()
{
    Cta& cta = *static_cast<Cta*>(current().executor);
    cta.launch_->kernel.run(cta.launch_->arguments);
    Fiber& fiber = cta.fibers_[cta.running_];
    while (!fiber.arrivals.empty())
        cta.arrive_after_copies(fiber, 0);
    while (!fiber.copies.empty())
        cta.finish(fiber, fiber.copies.size() - 1);
    while (!fiber.stores.empty())
        cta.finish_store(fiber, 0);
    cta.check_products_waited();
    const uint32_t bit = 1u << (cta.running_ % 32);
    Warp& warp = cta.warp();
    for (const Rendezvous& pending : warp.pending)
        if (pending.lanes & bit)
            cta.fail(Fault::LaunchFailed, pending.site, "the thread ends while lanes 0x%08x of its warp wait for it here", pending.arrived);
    fiber.state = State::Done;
    warp.ready &= ~bit;
    warp.exited |= bit;
    --cta.live_;
    for (Barrier& barrier : cta.barriers_)
        if (barrier.arrived > 0 && barrier.threads == 0 && barrier.arrived == cta.live_)
            cta.release(barrier);
    cta.leave();
}

// False when its lanes only polled.
bool Cta::run_warp(uint32_t number)
{
    Warp& warp = warps_[number];
    const uint32_t first = random(32);
    bool progressed = false;
    for (uint32_t i = 0; i < 32 && !launch_->failed(); ++i) {
        const uint32_t lane = (first + i) % 32;
        if (!(warp.ready >> lane & 1))
            continue;
        running_ = static_cast<int>(number * 32 + lane);
        polled_ = false;
        llamaserve_emulator_switch(&scheduler_, fibers_[running_].stack);
        progressed |= !polled_;
    }
    return progressed;
}

bool Cta::step()
{
    uint32_t ready = 0;
    for (size_t w = 0; w < warps_.size(); ++w)
        ready |= static_cast<uint32_t>(warps_[w].ready != 0) << w;
    if (ready == 0)
        return progress();
    if (random(256) < eagerness_)
        progress();
    if (!(ready >> last_warp_ & 1) || random(256) >= stickiness_) {
        for (uint32_t skip = random(static_cast<uint32_t>(__builtin_popcount(ready))); skip > 0; --skip)
            ready &= ready - 1;
        last_warp_ = static_cast<uint32_t>(__builtin_ctz(ready));
    }
    return run_warp(last_warp_);
}

bool Cta::round()
{
    bool progressed = progress();
    for (uint32_t w = 0; w < warps_.size(); ++w)
        progressed |= run_warp(w);
    return progressed;
}

void Cta::end()
{
    if (launch_->lint)
        launch_->add_accesses(recorder_);
}

// Back to the scheduler.
void Cta::leave() { llamaserve_emulator_switch(&fibers_[running_].stack, scheduler_); }

void Cta::wait(State state, const Site& site, uint32_t lanes)
{
    Fiber& fiber = fibers_[running_];
    fiber.state = state;
    fiber.site = site;
    fiber.lanes = lanes;
    warp().ready &= ~(1u << (running_ % 32));
    leave();
}

void Cta::wake(int thread)
{
    fibers_[thread].state = State::Ready;
    warps_[thread / 32].ready |= 1u << (thread % 32);
}

void Cta::preempt()
{
    until_preemption_ = 1 + static_cast<int32_t>(random(PreemptionPeriod));
    leave();
}

void Cta::pause()
{
    polled_ = true;
    leave();
}

void Cta::record_access(bool shared, uint64_t address, uint32_t bytes, const Site& site)
{
    recorder_.record(shared, static_cast<uint32_t>(running_), address, bytes, site);
}

void Cta::find_allocation(uint64_t address, uint32_t bytes, Access access, const Site& site)
{
    const Allocation* allocation = launch_->allocations.find(address);
    if (allocation == nullptr || address - allocation->begin + bytes > allocation->bytes) {
        static constexpr const char* Names[] = {"read", "write", "atomic"};
        fail(Fault::IllegalAddress, site, "global %s of %u bytes at 0x%" PRIx64 ": %s", Names[static_cast<int>(access)], bytes, address,
             launch_->allocations.describe(address).c_str());
    }
    windows_[(address >> 16) % WindowCount] = {allocation->begin, allocation->bytes};
}

} // namespace emulator
