// Modules, functions and launches. A module's image is "LSEMUIMG", the length of what follows in eight bytes, and a shared library
// that g++ made of a .cu file.
#include "driver.hpp"
#include "launch.hpp"
#include <algorithm>
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace emulator;

namespace {

struct Module;

struct Function {
    const Kernel* kernel;
    int dynamic_shared = 48 << 10; // the most that a launch may ask for
};

struct Module {
    void* library;
    int file; // stays open: dlopen knows libraries by their name, and this one's name is its number
    std::map<std::string, Function> functions;
};

struct LaunchConfig {
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
    void* stream;
    const struct LaunchAttribute* attributes;
    unsigned attribute_count;
};

struct LaunchAttribute {
    int id, padding;
    unsigned value[16];
};

// CTAs of a kernel that fit an SM at a time.
int occupancy(const Kernel& kernel, int threads, size_t shared_bytes)
{
    const DeviceModel& device = device_model();
    const int by_threads = device.threads_per_multiprocessor / threads;
    const int by_shared = static_cast<int>(static_cast<size_t>(device.shared_per_multiprocessor) / (shared_bytes + 1024));
    return threads > kernel.max_threads ? 0 : std::min({by_threads, by_shared, 32});
}

CUresult launch(Driver& driver, Function& function, Dim3 grid, Dim3 block, unsigned shared_bytes, void* stream, void** arguments)
{
    const Kernel& kernel = *function.kernel;
    const DeviceModel& device = device_model();
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0 || grid.y > 65535 || grid.z > 65535)
        return driver.refuse(CUDA_ERROR_INVALID_VALUE, std::string("kernel ") + kernel.name + ": an empty or too large grid or block");
    const uint64_t threads = static_cast<uint64_t>(block.x) * block.y * block.z;
    if (threads > static_cast<uint64_t>(kernel.max_threads))
        return driver.refuse(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, std::string("kernel ") + kernel.name + " is compiled for "
                             + std::to_string(kernel.max_threads) + " threads a block, not " + std::to_string(threads));
    if (shared_bytes > static_cast<unsigned>(function.dynamic_shared) || shared_bytes > static_cast<unsigned>(device.shared_per_cta))
        return driver.refuse(CUDA_ERROR_INVALID_VALUE, std::string("kernel ") + kernel.name + " may use "
                             + std::to_string(function.dynamic_shared) + " bytes of dynamic shared memory, not " + std::to_string(shared_bytes));
    if (arguments == nullptr && kernel.parameter_count > 0)
        return driver.refuse(CUDA_ERROR_INVALID_VALUE, std::string("kernel ") + kernel.name + " without its arguments");

    std::vector<std::vector<uint8_t>> values;
    for (int p = 0; p < kernel.parameter_count; ++p) {
        const uint8_t* value = static_cast<const uint8_t*>(arguments[p]);
        values.emplace_back(value, value + kernel.parameter_bytes[p]);
    }
    return driver.submit(stream, [&driver, &kernel, grid, block, shared_bytes, values = std::move(values)]() mutable {
        std::vector<void*> addresses;
        for (std::vector<uint8_t>& value : values)
            addresses.push_back(value.data());
        const uint64_t resident = static_cast<uint64_t>(device_model().multiprocessors)
                                * static_cast<uint64_t>(occupancy(kernel, static_cast<int>(block.x * block.y * block.z), shared_bytes));
        const uint64_t seed = driver.fixed_seed != 0 ? driver.fixed_seed : next_random(driver.random);
        Launch launched(kernel, grid, block, shared_bytes, addresses.data(), {seed, resident, driver.lint}, *driver.memory);
        run(launched);
        driver.accesses = launched.accesses();
        if (!launched.failed())
            return CUDA_SUCCESS;
        driver.sticky = static_cast<CUresult>(launched.fault());
        return driver.refuse(driver.sticky, launched.message());
    });
}

int open_image(const uint8_t* library, uint64_t bytes)
{
    const int file = memfd_create("llamaserve_emulated_module", MFD_CLOEXEC);
    for (uint64_t done = 0; file >= 0 && done < bytes;) {
        const ssize_t written = write(file, library + done, bytes - done);
        if (written <= 0) {
            close(file);
            return -1;
        }
        done += static_cast<uint64_t>(written);
    }
    return file;
}

} // namespace

CUDA_API cuModuleLoadData(void** module, const void* image)
{
    return call_driver([&](Driver& driver) {
        const uint8_t* bytes = static_cast<const uint8_t*>(image);
        if (std::memcmp(bytes, "LSEMUIMG", 8) != 0)
            return driver.refuse(CUDA_ERROR_INVALID_IMAGE, "the image is not one of the emulator's");
        uint64_t length;
        std::memcpy(&length, bytes + 8, 8);
        const int file = open_image(bytes + 16, length);
        if (file < 0)
            return driver.refuse(CUDA_ERROR_OUT_OF_MEMORY, "no memory file for the image");
        void* library = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) {
            close(file);
            return driver.refuse(CUDA_ERROR_INVALID_IMAGE, dlerror());
        }
        *module = new Module{library, file, {}};
        return CUDA_SUCCESS;
    });
}

CUDA_API cuModuleUnload(void* module)
{
    return call_driver([&](Driver&) {
        Module* m = static_cast<Module*>(module);
        dlclose(m->library);
        const std::string name = "/proc/self/fd/" + std::to_string(m->file);
        if (void* still = dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD))
            dlclose(still); // never unloaded: its name must not be used again
        else
            close(m->file);
        delete m;
        return CUDA_SUCCESS;
    });
}

CUDA_API cuModuleGetFunction(void** function, void* module, const char* name)
{
    return call_driver([&](Driver& driver) {
        Module* m = static_cast<Module*>(module);
        const Kernel* kernel = static_cast<const Kernel*>(dlsym(m->library, name));
        if (kernel == nullptr || kernel->magic != KernelMagic)
            return driver.refuse(CUDA_ERROR_NOT_FOUND, std::string("no kernel ") + name);
        *function = &m->functions.try_emplace(name, Function{kernel}).first->second;
        return CUDA_SUCCESS;
    });
}

CUDA_API cuFuncSetAttribute(void* function, int attribute, int value)
{
    return call_driver([&](Driver& driver) {
        Function& f = *static_cast<Function*>(function);
        if (attribute == 8) {
            if (value < 0 || value > device_model().shared_per_cta)
                return driver.refuse(CUDA_ERROR_INVALID_VALUE, "more shared memory than the device has");
            f.dynamic_shared = value;
        } else if (attribute != 9) {
            return driver.refuse(CUDA_ERROR_INVALID_VALUE, "an attribute that cannot be set");
        }
        return CUDA_SUCCESS;
    });
}

CUDA_API cuFuncGetAttribute(int* value, int attribute, void* function)
{
    return call_driver([&](Driver&) {
        const Function& f = *static_cast<Function*>(function);
        switch (attribute) {
            case 0: *value = f.kernel->max_threads; break;
            case 4: *value = 64; break; // registers: not known here
            case 5: case 6: *value = device_model().sm; break;
            case 8: *value = f.dynamic_shared; break;
            default: *value = 0; break;
        }
        return CUDA_SUCCESS;
    });
}

CUDA_API cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* function, int block_size, size_t shared_bytes)
{
    return call_driver([&](Driver&) {
        *blocks = block_size <= 0 ? 0 : occupancy(*static_cast<Function*>(function)->kernel, block_size, shared_bytes);
        return CUDA_SUCCESS;
    });
}

CUDA_API cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                        unsigned block_z, unsigned shared_bytes, void* stream, void** arguments, void** extra)
{
    return call_driver([&](Driver& driver) {
        if (extra != nullptr)
            return driver.refuse(CUDA_ERROR_NOT_SUPPORTED, "packed arguments are not emulated");
        return launch(driver, *static_cast<Function*>(function), {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes,
                      stream, arguments);
    });
}

CUDA_API cuLaunchKernelEx(const LaunchConfig* config, void* function, void** arguments, void** extra)
{
    return call_driver([&](Driver& driver) {
        for (unsigned i = 0; i < config->attribute_count; ++i) {
            const LaunchAttribute& attribute = config->attributes[i];
            const bool single = attribute.id == 4 && attribute.value[0] == 1 && attribute.value[1] == 1 && attribute.value[2] == 1;
            if (attribute.id == 6 && device_model().sm < 90)
                return driver.refuse(CUDA_ERROR_NOT_SUPPORTED, "programmatic dependent launch needs sm_90");
            if (attribute.id != 0 && attribute.id != 6 && !single)
                return driver.refuse(CUDA_ERROR_NOT_SUPPORTED, "launch attribute " + std::to_string(attribute.id) + " is not emulated");
        }
        return cuLaunchKernel(function, config->grid_x, config->grid_y, config->grid_z, config->block_x, config->block_y, config->block_z,
                              config->shared_bytes, config->stream, arguments, extra);
    });
}
