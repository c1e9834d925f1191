// Warp collectives and barriers of a CTA. All lanes of the mask must call from the same place.
#pragma once
#ifdef LLAMASERVE_EMULATED
#include "emulated_warp.hpp"
#else

#define FULL_MASK 0xffffffffu

template <class T> DEVICE T shuffle_xor(T value, int lanes, uint32_t mask = FULL_MASK) { return __shfl_xor_sync(mask, value, lanes); }
template <class T> DEVICE T shuffle_down(T value, int lanes, uint32_t mask = FULL_MASK) { return __shfl_down_sync(mask, value, lanes); }
template <class T> DEVICE T shuffle_up(T value, int lanes, uint32_t mask = FULL_MASK) { return __shfl_up_sync(mask, value, lanes); }
template <class T> DEVICE T shuffle(T value, int lane, uint32_t mask = FULL_MASK) { return __shfl_sync(mask, value, lane); }
DEVICE uint32_t warp_ballot(bool predicate, uint32_t mask = FULL_MASK) { return __ballot_sync(mask, predicate); }
DEVICE bool warp_any(bool predicate, uint32_t mask = FULL_MASK) { return __any_sync(mask, predicate); }
DEVICE bool warp_all(bool predicate, uint32_t mask = FULL_MASK) { return __all_sync(mask, predicate); }
DEVICE uint32_t warp_max(uint32_t value, uint32_t mask = FULL_MASK) { return __reduce_max_sync(mask, value); }
DEVICE uint32_t warp_min(uint32_t value, uint32_t mask = FULL_MASK) { return __reduce_min_sync(mask, value); }
DEVICE int warp_add(int value, uint32_t mask = FULL_MASK) { return __reduce_add_sync(mask, value); }
DEVICE void warp_barrier(uint32_t mask = FULL_MASK) { __syncwarp(mask); }

// All threads of the CTA.
DEVICE void barrier() { __syncthreads(); }
// Named barriers 1..15 (0 is barrier's); threads: how many take part, a multiple of 32.
DEVICE void barrier(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
DEVICE void barrier_arrive(int id, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
#endif

// The sum over the warp in a fixed order, in every lane.
DEVICE float warp_sum(float value)
{
    UNROLL for (int lanes = 16; lanes > 0; lanes >>= 1)
        value += shuffle_xor(value, lanes);
    return value;
}
DEVICE float warp_maximum(float value)
{
    UNROLL for (int lanes = 16; lanes > 0; lanes >>= 1)
        value = maximum(value, shuffle_xor(value, lanes));
    return value;
}
