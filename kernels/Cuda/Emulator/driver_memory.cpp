// Device and page-locked memory, copies and fills.
#include "driver.hpp"

using namespace emulator;

static CUresult check_range(Driver& driver, const char* what, CUdeviceptr address, size_t bytes)
{
    if (driver.memory->contains(address, bytes))
        return CUDA_SUCCESS;
    return driver.refuse(CUDA_ERROR_INVALID_VALUE,
                         std::string(what) + " of " + std::to_string(bytes) + " bytes: " + driver.memory->describe(address));
}

static CUresult allocate(CUdeviceptr* address, size_t bytes)
{
    return call_driver([&](Driver& driver) {
        if (bytes == 0)
            return driver.refuse(CUDA_ERROR_INVALID_VALUE, "an allocation of no bytes");
        *address = driver.memory->allocate(bytes);
        return *address != 0 ? CUDA_SUCCESS
                             : driver.refuse(CUDA_ERROR_OUT_OF_MEMORY, std::to_string(bytes) + " bytes do not fit into device memory");
    });
}

static CUresult release(Driver& driver, CUdeviceptr address)
{
    if (address == 0 || driver.memory->release(address, false))
        return CUDA_SUCCESS;
    return driver.refuse(CUDA_ERROR_INVALID_VALUE, "freed an address that no allocation begins at");
}

CUDA_API cuMemGetInfo_v2(size_t* free, size_t* total)
{
    return call_driver([&](Driver& driver) {
        *total = driver.memory->capacity();
        *free = *total - driver.memory->used();
        return CUDA_SUCCESS;
    });
}

CUDA_API cuMemAlloc_v2(CUdeviceptr* address, size_t bytes)
{
    return call_driver([&](Driver& driver) { return driver.capturing() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : allocate(address, bytes); });
}

CUDA_API cuMemFree_v2(CUdeviceptr address)
{
    return call_driver([&](Driver& driver) {
        return driver.capturing() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : release(driver, address);
    });
}

CUDA_API cuMemHostAlloc(void** address, size_t bytes, unsigned)
{
    return call_driver([&](Driver& driver) {
        *address = reinterpret_cast<void*>(driver.memory->lock_host(bytes));
        return *address != nullptr ? CUDA_SUCCESS
                                   : driver.refuse(CUDA_ERROR_OUT_OF_MEMORY, std::to_string(bytes) + " bytes do not fit into the host's memory");
    });
}

CUDA_API cuMemFreeHost(void* address)
{
    return call_driver([&](Driver& driver) {
        if (!driver.memory->release(reinterpret_cast<uint64_t>(address), true))
            return driver.refuse(CUDA_ERROR_INVALID_VALUE, "freed host memory that cuMemHostAlloc did not give");
        return CUDA_SUCCESS;
    });
}

static CUresult copy_in(Driver& driver, CUdeviceptr to, const void* from, size_t bytes)
{
    const CUresult range = check_range(driver, "copy to the device", to, bytes);
    if (range == CUDA_SUCCESS)
        std::memcpy(host_address(to), from, bytes);
    return range;
}

static CUresult copy_out(Driver& driver, void* to, CUdeviceptr from, size_t bytes)
{
    const CUresult range = check_range(driver, "copy from the device", from, bytes);
    if (range == CUDA_SUCCESS)
        std::memcpy(to, host_address(from), bytes);
    return range;
}

CUDA_API cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes)
{
    return call_driver([&](Driver& driver) {
        return driver.capturing() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : copy_in(driver, to, from, bytes);
    });
}

CUDA_API cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes)
{
    return call_driver([&](Driver& driver) {
        return driver.capturing() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : copy_out(driver, to, from, bytes);
    });
}

CUDA_API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, void* stream)
{
    return call_driver([&](Driver& driver) { return driver.submit(stream, [=, &driver] { return copy_in(driver, to, from, bytes); }); });
}

CUDA_API cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, void* stream)
{
    return call_driver([&](Driver& driver) { return driver.submit(stream, [=, &driver] { return copy_out(driver, to, from, bytes); }); });
}

CUDA_API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, void* stream)
{
    return call_driver([&](Driver& driver) {
        return driver.submit(stream, [=, &driver] {
            const CUresult range = check_range(driver, "copy on the device", to, bytes);
            const CUresult source = check_range(driver, "copy on the device", from, bytes);
            if (range == CUDA_SUCCESS && source == CUDA_SUCCESS)
                std::memmove(host_address(to), host_address(from), bytes);
            return range != CUDA_SUCCESS ? range : source;
        });
    });
}

CUDA_API cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, void* stream)
{
    return call_driver([&](Driver& driver) {
        return driver.submit(stream, [=, &driver] {
            const CUresult range = check_range(driver, "fill", to, count);
            if (range == CUDA_SUCCESS)
                std::memset(host_address(to), value, count);
            return range;
        });
    });
}

CUDA_API cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, void* stream)
{
    return call_driver([&](Driver& driver) {
        if (to % 4 != 0)
            return driver.refuse(CUDA_ERROR_INVALID_VALUE, "a fill of 32-bit words needs an address that is a multiple of 4");
        return driver.submit(stream, [=, &driver] {
            const CUresult range = check_range(driver, "fill", to, count * 4);
            if (range == CUDA_SUCCESS)
                for (size_t i = 0; i < count; ++i)
                    std::memcpy(host_address(to) + 4 * i, &value, 4);
            return range;
        });
    });
}
