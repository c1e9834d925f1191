// Barriers in shared memory that count arrivals and bytes, and bulk copies that report to them.
//
// An mbarrier is eight bytes. Its phase ends when `count` arrivals and all expected bytes have come; it then re-arms itself.
// mbarrier_wait(address, parity) returns once the phase of that parity has ended; on a fresh barrier parity 1 returns at once, so a
// ring's consumers start with 0 and its producer with 1. No thread may fall two phases behind.
#pragma once
#ifdef LLAMASERVE_EMULATED
#include "emulated_mbarrier.hpp"
#else

DEVICE void mbarrier_init(uint32_t address, int count)
{
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(address), "r"(count) : "memory");
}
DEVICE void mbarrier_invalidate(uint32_t address) { asm volatile("mbarrier.inval.shared.b64 [%0];" ::"r"(address) : "memory"); }
DEVICE void mbarrier_arrive(uint32_t address)
{
    asm volatile("{ .reg .b64 state; mbarrier.arrive.shared.b64 state, [%0]; }" ::"r"(address) : "memory");
}
// An arrival of this thread that comes once all its earlier copy_async have landed; part of the barrier's count.
DEVICE void copy_async_arrive(uint32_t address)
{
    asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(address) : "memory");
}
DEVICE bool mbarrier_test(uint32_t address, uint32_t parity)
{
    uint32_t done;
    asm volatile("{ .reg .pred p;\n"
#if __CUDA_ARCH__ >= 900
                 "mbarrier.try_wait.parity.shared.b64 p, [%1], %2;\n"
#else
                 "mbarrier.test_wait.parity.shared.b64 p, [%1], %2;\n"
#endif
                 "selp.u32 %0, 1, 0, p; }" : "=r"(done) : "r"(address), "r"(parity) : "memory");
    return done != 0;
}
DEVICE void mbarrier_wait(uint32_t address, uint32_t parity)
{
    while (!mbarrier_test(address, parity))
        ;
}

#if __CUDA_ARCH__ >= 900
// Makes initialised barriers known to bulk copies; by the thread that initialised them, before the CTA's barrier.
DEVICE void fence_mbarrier_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
// One arrival, and `bytes` more to come in this phase. Before the copies that bring them.
DEVICE void mbarrier_expect(uint32_t address, int bytes)
{
    asm volatile("{ .reg .b64 state; mbarrier.arrive.expect_tx.shared.b64 state, [%0], %1; }" ::"r"(address), "r"(bytes) : "memory");
}
// Both addresses and the size are multiples of 16. policy: evict_first_policy(), for what is read once.
DEVICE void copy_bulk(uint32_t to, const void* from, int bytes, uint32_t mbarrier, uint64_t policy)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;"
                 ::"r"(to), "l"(from), "r"(bytes), "r"(mbarrier), "l"(policy) : "memory");
}
DEVICE void copy_bulk(uint32_t to, const void* from, int bytes, uint32_t mbarrier)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
                 ::"r"(to), "l"(from), "r"(bytes), "r"(mbarrier) : "memory");
}
// From shared to global memory; grouped by store_bulk_commit. After fence_async_proxy of the writers and a barrier.
DEVICE void store_bulk(void* to, uint32_t from, int bytes)
{
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(from), "r"(bytes) : "memory");
}
DEVICE void store_bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// At most Groups still read their shared memory.
template <int Groups> DEVICE void store_bulk_wait_read() { asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(Groups) : "memory"); }
template <int Groups> DEVICE void store_bulk_wait() { asm volatile("cp.async.bulk.wait_group %0;" ::"n"(Groups) : "memory"); }
// This thread's writes to shared memory become visible to bulk copies and wgmma (after a barrier, for other threads' ones).
DEVICE void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
#endif
#endif
