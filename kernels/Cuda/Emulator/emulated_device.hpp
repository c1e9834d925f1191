// device.cuh for g++: each thread of a CTA is a fiber of the emulated driver.
#pragma once
#include "machine.hpp"
#include <type_traits>
#include <utility>

using std::int16_t;
using std::int32_t;
using std::int64_t;
using std::int8_t;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(8) int2 {
    int32_t x, y;
};
struct alignas(16) int4 {
    int32_t x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

#define DEVICE static inline
#define UNROLL
#define NO_UNROLL
#define UNROLL_BY(times)

#include "emulated_pointers.hpp"

namespace emulator {

// Calls `kernel` with its parameters as cuLaunchKernel passes them: by their addresses.
template <class... Parameters, size_t... Index>
void call(void (*kernel)(Parameters...), void* const* arguments, std::index_sequence<Index...>)
{
    kernel(*static_cast<const std::remove_cv_t<Parameters>*>(arguments[Index])...);
}

template <auto Function> struct Entry;
template <class... Parameters, void (*Function)(Parameters...)> struct Entry<Function> {
    static_assert((std::is_trivially_copyable_v<Parameters> && ...), "kernel parameters are copied as bytes");
    static constexpr int count = sizeof...(Parameters);
    static constexpr uint32_t bytes[sizeof...(Parameters) + 1] = {sizeof(Parameters)..., 0};
    static void run(void* const* arguments) { call(Function, arguments, std::index_sequence_for<Parameters...>{}); }
};

} // namespace emulator

#define KERNEL(name, threads, min_ctas, parameters)                                                                             \
    static void name##_body parameters;                                                                                         \
    extern "C" __attribute__((visibility("default"))) const emulator::Kernel name;                                             \
    const emulator::Kernel name = {emulator::KernelMagic, #name, emulator::Entry<&name##_body>::run, threads, min_ctas,         \
                                   emulator::Entry<&name##_body>::count, emulator::Entry<&name##_body>::bytes};                \
    static void name##_body parameters

DEVICE int thread_index() { return static_cast<int>(emulator::current().index.x); }
DEVICE int thread_count() { return static_cast<int>(emulator::current().block_size.x); }
DEVICE int lane_index() { return static_cast<int>(emulator::current().linear & 31); }
DEVICE int warp_index() { return static_cast<int>(emulator::current().linear >> 5); }
DEVICE int block_x() { return static_cast<int>(emulator::current().block.x); }
DEVICE int block_y() { return static_cast<int>(emulator::current().block.y); }
DEVICE int block_z() { return static_cast<int>(emulator::current().block.z); }
DEVICE int grid_x() { return static_cast<int>(emulator::current().grid_size.x); }
DEVICE int grid_y() { return static_cast<int>(emulator::current().grid_size.y); }
DEVICE int grid_z() { return static_cast<int>(emulator::current().grid_size.z); }
