// Collectives and barriers of a CTA.
#include "cta.hpp"

namespace emulator {

// Two collectives that wait for each other's lanes never end: the warp has diverged.
void Cta::check_divergence(const Warp& warp, const Rendezvous& joined, const Site& site)
{
    for (const Rendezvous& other : warp.pending)
        if (&other != &joined && (other.arrived & joined.lanes) != 0 && (joined.arrived & other.lanes) != 0)
            fail(Fault::LaunchFailed, site, "the warp diverged: lanes 0x%08x are here for mask 0x%08x, lanes 0x%08x at %s (line %d) for mask 0x%08x",
                 joined.arrived, joined.lanes, other.arrived, other.site.operation, other.site.line, other.lanes);
}

Rendezvous& Cta::join(Warp& warp, uint32_t lanes, const Site& site, GroupOperation operation)
{
    const uint32_t bit = 1u << (running_ % 32);
    for (Rendezvous& pending : warp.pending)
        if (pending.lanes == lanes && pending.operation == operation && !(pending.arrived & bit) && same(pending.site, site))
            return pending;
    warp.pending.push_back({lanes, 0, site, operation, {}});
    return warp.pending.back();
}

void Cta::warp_collective(uint32_t lanes, const Site& site, GroupOperation operation, void* operand)
{
    Warp& warp = this->warp();
    const uint32_t bit = 1u << (running_ % 32);
    if (!(lanes & bit))
        fail(Fault::IllegalInstruction, site, "mask 0x%08x lacks the calling lane", lanes);
    if (lanes & warp.exited)
        fail(Fault::LaunchFailed, site, "mask 0x%08x names lanes 0x%08x, which have ended", lanes, lanes & warp.exited);
    Rendezvous& rendezvous = join(warp, lanes, site, operation);
    rendezvous.arrived |= bit;
    rendezvous.operands[running_ % 32] = operand;
    if (rendezvous.arrived != lanes) {
        check_divergence(warp, rendezvous, site);
        wait(State::AtCollective, site, lanes);
        return;
    }
    operation(rendezvous.operands, lanes);
    warp.pending.erase(warp.pending.begin() + (&rendezvous - warp.pending.data()));
    for (uint32_t others = lanes & ~bit; others != 0; others &= others - 1)
        wake(running_ / 32 * 32 + __builtin_ctz(others));
}

void Cta::release(Barrier& barrier)
{
    for (int thread : barrier.waiting) {
        warps_[thread / 32].at_barrier &= ~(1u << (thread % 32));
        if (thread != running_)
            wake(thread);
    }
    barrier.arrived = barrier.threads = 0;
    barrier.waiting.clear();
}

void Cta::barrier(int id, int threads, bool wait_for_it, const Site& site)
{
    if (id < 0 || id >= BarrierCount || threads < 0 || threads % 32 != 0 || threads > static_cast<int>(fibers_.size()))
        fail(Fault::IllegalInstruction, site, "barrier %d of %d threads: there are 16, of multiples of 32 threads up to the CTA's", id, threads);
    Barrier& barrier = barriers_[id];
    if (barrier.arrived > 0 && barrier.threads != threads)
        fail(Fault::LaunchFailed, site, "barrier %d of %d threads, where others wait for %d", id, threads, barrier.threads);
    Warp& warp = this->warp();
    if (wait_for_it && warp.at_barrier != 0) {
        const Fiber& other = fibers_[running_ / 32 * 32 + __builtin_ctz(warp.at_barrier)];
        if (other.lanes != static_cast<uint32_t>(id) || !same(other.site, site))
            fail(Fault::LaunchFailed, site, "divergent barrier: lanes 0x%08x of the warp wait at barrier %u at line %d", warp.at_barrier,
                 other.lanes, other.site.line);
    }
    barrier.threads = threads;
    ++barrier.arrived;
    if (barrier.arrived == (threads == 0 ? live_ : threads)) {
        release(barrier);
    } else if (wait_for_it) {
        barrier.waiting.push_back(running_);
        warp.at_barrier |= 1u << (running_ % 32);
        wait(State::AtBarrier, site, static_cast<uint32_t>(id));
    }
}

} // namespace emulator
