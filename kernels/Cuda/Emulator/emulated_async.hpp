// async.cuh for g++: a copy happens at some legal moment between its issue and the wait for its group; until then its destination
// holds poison.
#pragma once

namespace emulator {

inline void copy_async(uint32_t to, uint64_t from, int size, int bytes, const char* file, int line)
{
    const Site site{"copy_async", file, line};
    Thread& thread = current();
    if (bytes < 0 || bytes > size)
        thread.executor->fail(Fault::IllegalInstruction, site, "copies %d bytes of %d", bytes, size);
    shared_address(to, size, size, Access::Write, site);
    if (from % size != 0)
        thread.executor->fail(Fault::MisalignedAddress, site, "global address 0x%llx is not a multiple of %d",
                              static_cast<unsigned long long>(from), size);
    if (bytes > 0)
        global_address(from, bytes, 1, Access::Read, site);
    thread.executor->copy_async(to, from, size, bytes, site);
}

} // namespace emulator

template <class T> void copy_async_16(uint32_t to, global_ptr<T> from, int bytes = 16, EMULATOR_SITE)
{
    emulator::copy_async(to, from.address(), 16, bytes, file, line);
}
template <class T> void copy_async_16_once(uint32_t to, global_ptr<T> from, uint64_t, EMULATOR_SITE)
{
    emulator::copy_async(to, from.address(), 16, 16, file, line);
}
template <class T> void copy_async_8(uint32_t to, global_ptr<T> from, int bytes = 8, EMULATOR_SITE)
{
    emulator::copy_async(to, from.address(), 8, bytes, file, line);
}
template <class T> void copy_async_4(uint32_t to, global_ptr<T> from, int bytes = 4, EMULATOR_SITE)
{
    emulator::copy_async(to, from.address(), 4, bytes, file, line);
}
DEVICE uint64_t evict_first_policy() { return 0; }
DEVICE void copy_async_commit() { emulator::current().executor->copy_async_commit(); }
template <int Groups> void copy_async_wait() { emulator::current().executor->copy_async_wait(Groups); }

DEVICE void dependency_wait() {}
DEVICE void launch_dependents() {}
