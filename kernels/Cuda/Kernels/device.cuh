// What every kernel includes: types, indices and the kernel macro. The files it includes hold all PTX, as small named functions.
// Two implementations: PTX for NVRTC (which sees no CUDA headers), and Emulator/emulated_*.hpp for g++ (LLAMASERVE_EMULATED).
//
// Shared memory is addressed by 32-bit byte addresses (shared_base() + offset), so swizzles are plain arithmetic; shared_at<T>
// turns an address into a typed pointer. Global memory is reached through global_ptr<T>: T* on the device, bounds-checked under
// the emulator, eight bytes in both.
#pragma once
#ifdef LLAMASERVE_EMULATED
#include "emulated_device.hpp"
#else

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;

#define DEVICE static __device__ __forceinline__
#define UNROLL _Pragma("unroll")
#define NO_UNROLL _Pragma("unroll 1")
#define PRAGMA(text) _Pragma(#text)
#define UNROLL_BY(times) PRAGMA(unroll (times))
// KERNEL(name, threads a CTA, least CTAs an SM, (parameters)) { body }
#define KERNEL(name, threads, min_ctas, parameters) extern "C" __global__ void __launch_bounds__(threads, min_ctas) name parameters

template <class T> using global_ptr = T*;
template <class T> using shared_ptr = T*;

template <class U, class T> DEVICE U* cast(T* pointer) { return reinterpret_cast<U*>(pointer); }

DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
DEVICE int thread_count() { return static_cast<int>(blockDim.x); }
DEVICE int lane_index() { return static_cast<int>(threadIdx.x & 31); }
DEVICE int warp_index() { return static_cast<int>(threadIdx.x >> 5); }
DEVICE int block_x() { return static_cast<int>(blockIdx.x); }
DEVICE int block_y() { return static_cast<int>(blockIdx.y); }
DEVICE int block_z() { return static_cast<int>(blockIdx.z); }
DEVICE int grid_x() { return static_cast<int>(gridDim.x); }
DEVICE int grid_y() { return static_cast<int>(gridDim.y); }
DEVICE int grid_z() { return static_cast<int>(gridDim.z); }

extern __shared__ __align__(1024) unsigned char dynamic_shared_memory[];

// The 32-bit address of the CTA's dynamic shared memory, a multiple of 1024.
DEVICE uint32_t shared_base() { return static_cast<uint32_t>(__cvta_generic_to_shared(dynamic_shared_memory)); }

template <class T> DEVICE T* shared_at(uint32_t address)
{
    return reinterpret_cast<T*>(__cvta_shared_to_generic(address));
}
#endif

// Elements of 16 and 8 bits as stored; arithmetic goes through the conversions of convert.cuh.
struct bf16 { uint16_t bits; };
struct f16 { uint16_t bits; };
struct e4m3 { uint8_t bits; };

#include "convert.cuh"
#include "memory.cuh"
#include "warp.cuh"
#include "mma.cuh"
#include "async.cuh"
#include "mbarrier.cuh"
#include "wgmma.cuh"
