// Loads, stores and atomics. load and store take global and shared pointers alike; the others are global memory's.
#pragma once
#ifdef LLAMASERVE_EMULATED
#include "emulated_memory.hpp"
#else

template <class T> DEVICE T load(const T* pointer) { return *pointer; }
template <class T> DEVICE void store(T* pointer, T value) { *pointer = value; }

// Data that no one writes during the kernel and that is read once: past L1, and first to leave L2.
DEVICE uint4 load_once(const uint4* pointer)
{
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::evict_first.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(pointer));
    return v;
}
// Data that no one writes during the kernel.
DEVICE uint4 load_constant(const uint4* pointer)
{
    uint4 v;
    asm("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(pointer));
    return v;
}
// Data that another CTA may have written: from L2, never from this SM's L1.
DEVICE float4 load_shared_by_ctas(const float4* pointer)
{
    float4 v;
    asm volatile("ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(pointer) : "memory");
    return v;
}
DEVICE void store_once(uint4* pointer, uint4 v)
{
    asm volatile("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(pointer), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}

DEVICE uint32_t load_acquire(const uint32_t* pointer)
{
    uint32_t value;
    asm volatile("ld.global.acquire.gpu.u32 %0, [%1];" : "=r"(value) : "l"(pointer) : "memory");
    return value;
}
DEVICE void store_release(uint32_t* pointer, uint32_t value)
{
    asm volatile("st.global.release.gpu.u32 [%0], %1;" ::"l"(pointer), "r"(value) : "memory");
}
DEVICE void add_release(uint32_t* pointer, uint32_t value)
{
    asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(pointer), "r"(value) : "memory");
}
// Returns the value before; orders this thread's (and, after a barrier, its CTA's) accesses on both sides.
DEVICE uint32_t add_acquire_release(uint32_t* pointer, uint32_t value)
{
    uint32_t before;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(before) : "l"(pointer), "r"(value) : "memory");
    return before;
}
DEVICE uint32_t atomic_add(uint32_t* pointer, uint32_t value) { return atomicAdd(pointer, value); }
DEVICE int atomic_max(int* pointer, int value) { return atomicMax(pointer, value); }
DEVICE uint64_t atomic_max(uint64_t* pointer, uint64_t value) { return atomicMax(pointer, value); }

// Between two looks at memory that another CTA is to write. That CTA has to be on the device already: a grid whose CTAs wait for
// each other must not be larger than what fits.
DEVICE void poll_pause() { __nanosleep(20); }

// Makes this thread's earlier writes visible to the device before its later ones.
DEVICE void fence_device() { __threadfence(); }

DEVICE void prefetch_l2(const void* pointer) { asm volatile("prefetch.global.L2 [%0];" ::"l"(pointer)); }
DEVICE uint64_t clock_cycles()
{
    uint64_t cycles;
    asm volatile("mov.u64 %0, %%clock64;" : "=l"(cycles));
    return cycles;
}
#endif

// Waits until another CTA has counted up to `value` with release.
DEVICE void wait_until(global_ptr<const uint32_t> counter, uint32_t value)
{
    while (load_acquire(counter) < value)
        poll_pause();
}
