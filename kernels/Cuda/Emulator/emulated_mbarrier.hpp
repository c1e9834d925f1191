// mbarrier.cuh for g++: a bulk copy lands at some moment after its issue; until then its destination holds poison.
#pragma once

DEVICE void mbarrier_init(uint32_t address, int count, EMULATOR_SITE)
{
    emulator::current().executor->mbarrier_init(address, count, {"mbarrier_init", file, line});
}
DEVICE void mbarrier_invalidate(uint32_t address, EMULATOR_SITE)
{
    emulator::current().executor->mbarrier_invalidate(address, {"mbarrier_invalidate", file, line});
}
DEVICE void mbarrier_arrive(uint32_t address, EMULATOR_SITE)
{
    emulator::current().executor->mbarrier_arrive(address, 0, {"mbarrier_arrive", file, line});
}
DEVICE void copy_async_arrive(uint32_t address, EMULATOR_SITE)
{
    emulator::current().executor->copy_async_arrive(address, {"copy_async_arrive", file, line});
}
DEVICE bool mbarrier_test(uint32_t address, uint32_t parity, EMULATOR_SITE)
{
    return emulator::current().executor->mbarrier_test(address, parity, {"mbarrier_test", file, line});
}
DEVICE void mbarrier_wait(uint32_t address, uint32_t parity, EMULATOR_SITE)
{
    emulator::current().executor->mbarrier_wait(address, parity, {"mbarrier_wait", file, line});
}

#if __CUDA_ARCH__ >= 900
DEVICE void fence_mbarrier_init() { emulator::current().executor->fence_mbarrier_init(); }
DEVICE void mbarrier_expect(uint32_t address, int bytes, EMULATOR_SITE)
{
    emulator::current().executor->mbarrier_arrive(address, bytes, {"mbarrier_expect", file, line});
}

namespace emulator {

// Checks both ends of a bulk copy.
inline void check_bulk(uint32_t shared, uint64_t global, int bytes, Access access, const Site& site)
{
    Thread& thread = current();
    if (bytes <= 0 || bytes % 16 != 0)
        thread.executor->fail(Fault::IllegalInstruction, site, "%d bytes: not a positive multiple of 16", bytes);
    shared_address(shared, static_cast<uint32_t>(bytes), 16, Access::Read, site);
    global_address(global, static_cast<uint32_t>(bytes), 16, access, site);
}

} // namespace emulator

template <class T> void copy_bulk(uint32_t to, global_ptr<T> from, int bytes, uint32_t mbarrier, uint64_t = 0, EMULATOR_SITE)
{
    const emulator::Site site{"copy_bulk", file, line};
    emulator::check_bulk(to, from.address(), bytes, emulator::Access::Read, site);
    emulator::current().executor->copy_bulk(to, from.address(), static_cast<uint32_t>(bytes), mbarrier, site);
}
template <class T> void store_bulk(global_ptr<T> to, uint32_t from, int bytes, EMULATOR_SITE)
{
    const emulator::Site site{"store_bulk", file, line};
    emulator::check_bulk(from, to.address(), bytes, emulator::Access::Write, site);
    emulator::current().executor->store_bulk(to.address(), from, static_cast<uint32_t>(bytes), site);
}
DEVICE void store_bulk_commit() { emulator::current().executor->store_bulk_commit(); }
template <int Groups> void store_bulk_wait_read() { emulator::current().executor->store_bulk_wait(Groups); }
template <int Groups> void store_bulk_wait() { emulator::current().executor->store_bulk_wait(Groups); }
DEVICE void fence_async_proxy() { emulator::current().executor->fence_async_proxy(); }
#endif
