// What the emulated driver has beyond NVIDIA's, for tests.
#include "driver.hpp"

using namespace emulator;

#define EXTENSION(type) extern "C" __attribute__((visibility("default"))) type

// What the last refused or failed call or kernel did wrong; valid until the next call.
EXTENSION(const char*) llamaserve_emulated_last_error()
{
    const std::lock_guard lock(Driver::instance().mutex);
    return Driver::instance().last_error.c_str();
}

// Forgets a sticky error, which on a GPU takes a new process. Memory stays as the failed kernel left it.
EXTENSION(void) llamaserve_emulated_reset()
{
    const std::lock_guard lock(Driver::instance().mutex);
    Driver::instance().sticky = CUDA_SUCCESS;
    Driver::instance().last_error.clear();
}

// The seed of all launches from now on; 0: each draws its own.
EXTENSION(void) llamaserve_emulated_set_seed(uint64_t seed)
{
    const std::lock_guard lock(Driver::instance().mutex);
    Driver::instance().fixed_seed = seed;
}

// Whether launches from now on record their memory accesses.
EXTENSION(void) llamaserve_emulated_set_lint(int on)
{
    const std::lock_guard lock(Driver::instance().mutex);
    Driver::instance().lint = on != 0;
}

// The last launch's accesses, a line for each place in the source: "shared read at kernel.cu:12\trequests\tunits\tideal units\n",
// units being wavefronts of shared and sectors of global memory. Valid until the next call.
EXTENSION(const char*) llamaserve_emulated_accesses()
{
    Driver& driver = Driver::instance();
    const std::lock_guard lock(driver.mutex);
    driver.access_text.clear();
    for (const auto& [place, counts] : driver.accesses)
        driver.access_text += place + '\t' + std::to_string(counts.requests) + '\t' + std::to_string(counts.units) + '\t'
                            + std::to_string(counts.ideal_units) + '\n';
    return driver.access_text.c_str();
}
