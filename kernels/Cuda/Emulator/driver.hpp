// The emulated driver: types and codes of the CUDA driver API's C ABI, and the state behind its functions.
#pragma once
#include "allocations.hpp"
#include "lint.hpp"
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = uint64_t;

constexpr CUresult CUDA_SUCCESS = 0;
constexpr CUresult CUDA_ERROR_INVALID_VALUE = 1;
constexpr CUresult CUDA_ERROR_OUT_OF_MEMORY = 2;
constexpr CUresult CUDA_ERROR_NOT_INITIALIZED = 3;
constexpr CUresult CUDA_ERROR_INVALID_DEVICE = 101;
constexpr CUresult CUDA_ERROR_INVALID_IMAGE = 200;
constexpr CUresult CUDA_ERROR_INVALID_CONTEXT = 201;
constexpr CUresult CUDA_ERROR_INVALID_HANDLE = 400;
constexpr CUresult CUDA_ERROR_ILLEGAL_STATE = 401;
constexpr CUresult CUDA_ERROR_NOT_FOUND = 500;
constexpr CUresult CUDA_ERROR_NOT_READY = 600;
constexpr CUresult CUDA_ERROR_ILLEGAL_ADDRESS = 700;
constexpr CUresult CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701;
constexpr CUresult CUDA_ERROR_ASSERT = 710;
constexpr CUresult CUDA_ERROR_ILLEGAL_INSTRUCTION = 715;
constexpr CUresult CUDA_ERROR_MISALIGNED_ADDRESS = 716;
constexpr CUresult CUDA_ERROR_LAUNCH_FAILED = 719;
constexpr CUresult CUDA_ERROR_NOT_SUPPORTED = 801;
constexpr CUresult CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900;
constexpr CUresult CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901;

#define CUDA_API extern "C" __attribute__((visibility("default"))) CUresult

namespace emulator {

// What stays the same for the process: LLAMASERVE_EMULATED_SM (80, 89, 90) and LLAMASERVE_EMULATED_MEMORY (MiB).
struct DeviceModel {
    int sm, multiprocessors, shared_per_cta, shared_per_multiprocessor, threads_per_multiprocessor;
    uint64_t memory;
};
const DeviceModel& device_model();

using Work = std::function<CUresult()>;

struct Graph {
    std::vector<Work> nodes; // in an order that every dependency allows
};

struct Stream {
    std::shared_ptr<Graph> capture; // null when work runs as it comes
    bool origin = false;            // capture began here
};

struct Event {
    std::shared_ptr<Graph> capture;
    int64_t nanoseconds = -1; // when it was recorded; -1 before
};


// One device, one context. Everything happens under the mutex.
class Driver {
public:
    static Driver& instance();
    std::recursive_mutex mutex;
    bool initialized = false;
    CUresult sticky = CUDA_SUCCESS; // every call returns it until llamaserve_emulated_reset
    std::string last_error;
    uint64_t fixed_seed = 0, random = 0; // fixed_seed 0: every launch draws one
    bool lint = false;     // record memory accesses
    AccessReport accesses; // of the last launch
    std::string access_text;
    std::unique_ptr<Allocations> memory;
    std::set<Stream*> streams;
    std::set<Event*> events;

    // The stream behind a handle; null when there is none such. Handles 0, 1 and 2 are the default streams.
    Stream* stream(void* handle);
    bool capturing() const;
    // Runs the work, or keeps it for the graph that the stream captures.
    CUresult submit(void* stream, Work work);
    // Keeps an explanation of the error that a caller gets, for llamaserve_emulated_last_error.
    CUresult refuse(CUresult error, std::string why);

private:
    Driver();
    Stream default_stream_;
};

// Runs body under the driver's lock, unless the driver is not initialized or an earlier error sticks.
template <class Body> CUresult call_driver(Body body)
{
    Driver& driver = Driver::instance();
    const std::lock_guard lock(driver.mutex);
    if (!driver.initialized)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (driver.sticky != CUDA_SUCCESS)
        return driver.sticky;
    return body(driver);
}

} // namespace emulator
