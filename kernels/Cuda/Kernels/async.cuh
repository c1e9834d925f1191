// Asynchronous copies into shared memory, and the order between dependent grids.
// A thread's copies are grouped by copy_async_commit; copy_async_wait<N> waits until at most N groups are under way. Other threads
// see the bytes after a barrier behind that wait.
#pragma once
#ifdef LLAMASERVE_EMULATED
#include "emulated_async.hpp"
#else

// Sixteen bytes, of which the first `bytes` (0..16) come from `from` and the others are zero; nothing is read when it is 0.
DEVICE void copy_async_16(uint32_t to, const void* from, int bytes = 16)
{
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
// Sixteen bytes that are read once: first to leave L2. policy: evict_first_policy().
DEVICE void copy_async_16_once(uint32_t to, const void* from, uint64_t policy)
{
    asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "l"(policy) : "memory");
}
DEVICE uint64_t evict_first_policy()
{
    uint64_t policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}
DEVICE void copy_async_8(uint32_t to, const void* from, int bytes = 8)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
DEVICE void copy_async_4(uint32_t to, const void* from, int bytes = 4)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Groups> DEVICE void copy_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(Groups) : "memory"); }

// Programmatic dependent launch. Before dependency_wait returns, nothing that an earlier grid writes may be read, and nothing
// that it reads may be written. Does nothing where the launch did not ask for it, and before sm_90.
DEVICE void dependency_wait()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
DEVICE void launch_dependents()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
#endif
