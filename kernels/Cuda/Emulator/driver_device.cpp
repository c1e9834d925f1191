// Initialisation, the device's properties, the context, and error texts.
#include "driver.hpp"
#include <chrono>
#include <cstdlib>
#include <unistd.h>

namespace emulator {

static int environment(const char* name, int otherwise)
{
    const char* text = std::getenv(name);
    return text != nullptr && *text != 0 ? std::atoi(text) : otherwise;
}

const DeviceModel& device_model()
{
    static const DeviceModel model = [] {
        const uint64_t memory = static_cast<uint64_t>(environment("LLAMASERVE_EMULATED_MEMORY", 1024)) << 20;
        switch (const int sm = environment("LLAMASERVE_EMULATED_SM", 90)) {
            case 80: return DeviceModel{sm, 4, 163 << 10, 164 << 10, 2048, memory};
            case 89: return DeviceModel{sm, 4, 99 << 10, 100 << 10, 1536, memory};
            default: return DeviceModel{90, 4, 227 << 10, 228 << 10, 2048, memory};
        }
    }();
    return model;
}

Driver& Driver::instance()
{
    static Driver& driver = *new Driver; // never destroyed: finalisers may call after main
    return driver;
}

Driver::Driver()
{
    const char* seed = std::getenv("LLAMASERVE_EMULATED_SEED");
    fixed_seed = seed != nullptr ? std::strtoull(seed, nullptr, 0) : 0;
    random = static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    const uint64_t host_memory = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    memory = std::make_unique<Allocations>(device_model().memory, host_memory);
}

CUresult Driver::refuse(CUresult error, std::string why)
{
    last_error = std::move(why);
    return error;
}

static int attribute(int id)
{
    const DeviceModel& device = device_model();
    switch (id) {
        case 1: case 2: case 3: return 1024; // threads a CTA, its x and y
        case 4: return 64;
        case 5: return 0x7fffffff;
        case 6: case 7: return 65535;
        case 8: return 48 << 10;             // shared memory a CTA without opting in
        case 9: return 64 << 10;
        case 10: return 32;
        case 11: return 0x7fffffff;
        case 12: case 82: return 65536;      // registers
        case 13: return 1000000;             // kHz
        case 15: case 19: case 31: case 41: case 78: case 83: return 1;
        case 16: return device.multiprocessors;
        case 36: return 1000000;
        case 37: return 64;
        case 38: return 4 << 20;             // L2
        case 39: return device.threads_per_multiprocessor;
        case 40: return 2;
        case 75: return device.sm / 10;
        case 76: return device.sm % 10;
        case 81: return device.shared_per_multiprocessor;
        case 97: return device.shared_per_cta;
        case 106: return device.sm == 89 ? 24 : 32;
        case 111: return 1 << 10;
        default: return 0;
    }
}

struct ErrorText {
    CUresult error;
    const char *name, *text;
};
static constexpr ErrorText ErrorTexts[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {CUDA_ERROR_ASSERT, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    {CUDA_ERROR_ILLEGAL_INSTRUCTION, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
    {CUDA_ERROR_MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
};

static const ErrorText* find_text(CUresult error)
{
    for (const ErrorText& text : ErrorTexts)
        if (text.error == error)
            return &text;
    return nullptr;
}

} // namespace emulator

using namespace emulator;

static int context_object; // its address is the one context's handle
static thread_local void* current_context;

CUDA_API cuInit(unsigned flags)
{
    Driver::instance().initialized = true;
    return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUDA_API cuDriverGetVersion(int* version)
{
    *version = 12040;
    return CUDA_SUCCESS;
}

CUDA_API cuDeviceGetCount(int* count)
{
    *count = 1;
    return Driver::instance().initialized ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

CUDA_API cuDeviceGet(CUdevice* device, int ordinal)
{
    *device = ordinal;
    return !Driver::instance().initialized ? CUDA_ERROR_NOT_INITIALIZED : ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUDA_API cuDeviceGetName(char* name, int length, CUdevice device)
{
    const std::string text = "LlamaServe emulated SM " + std::to_string(device_model().sm);
    if (device != 0 || length <= 0)
        return device != 0 ? CUDA_ERROR_INVALID_DEVICE : CUDA_ERROR_INVALID_VALUE;
    name[text.copy(name, static_cast<size_t>(length) - 1)] = 0;
    return CUDA_SUCCESS;
}

CUDA_API cuDeviceGetAttribute(int* value, int id, CUdevice device)
{
    *value = attribute(id);
    return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUDA_API cuDeviceTotalMem_v2(size_t* bytes, CUdevice device)
{
    *bytes = device_model().memory;
    return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUDA_API cuDevicePrimaryCtxRetain(void** context, CUdevice device)
{
    *context = &context_object;
    return !Driver::instance().initialized ? CUDA_ERROR_NOT_INITIALIZED : device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUDA_API cuDevicePrimaryCtxRelease_v2(CUdevice device) { return device == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE; }

CUDA_API cuCtxSetCurrent(void* context)
{
    if (context != nullptr && context != &context_object)
        return CUDA_ERROR_INVALID_CONTEXT;
    current_context = context;
    return CUDA_SUCCESS;
}

CUDA_API cuCtxGetCurrent(void** context)
{
    *context = current_context;
    return CUDA_SUCCESS;
}

CUDA_API cuCtxSynchronize()
{
    return call_driver([](Driver& driver) { return driver.capturing() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS; });
}

CUDA_API cuGetErrorName(CUresult error, const char** name)
{
    const ErrorText* text = find_text(error);
    *name = text != nullptr ? text->name : nullptr;
    return text != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUDA_API cuGetErrorString(CUresult error, const char** name)
{
    const ErrorText* text = find_text(error);
    *name = text != nullptr ? text->text : nullptr;
    return text != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
