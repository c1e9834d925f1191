// memory.cuh for g++: cache hints have no effect, bounds and alignment are checked.
#pragma once

template <class T, class Space> auto load(emulator::Pointer<T, Space> pointer, EMULATOR_SITE)
{
    return static_cast<std::remove_const_t<T>>(emulator::Reference<T, Space>(pointer.address(), file, line));
}
template <class T, class Space> void store(emulator::Pointer<T, Space> pointer, std::common_type_t<T> value, EMULATOR_SITE)
{
    emulator::Reference<T, Space>(pointer.address(), file, line) = value;
}

DEVICE uint4 load_once(global_ptr<const uint4> pointer, EMULATOR_SITE) { return load(pointer, file, line); }
DEVICE uint4 load_constant(global_ptr<const uint4> pointer, EMULATOR_SITE) { return load(pointer, file, line); }
DEVICE float4 load_shared_by_ctas(global_ptr<const float4> pointer, EMULATOR_SITE) { return load(pointer, file, line); }
DEVICE void store_once(global_ptr<uint4> pointer, uint4 value, EMULATOR_SITE) { store(pointer, value, file, line); }

namespace emulator {

template <class T> T* atomic_address(global_ptr<T> pointer, Access access, const char* operation, const char* file, int line)
{
    return reinterpret_cast<T*>(global_address(pointer.address(), sizeof(T), sizeof(T), access, {operation, file, line}));
}

template <class T> T atomic_maximum(T* at, T value)
{
    T before = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (before < value && !__atomic_compare_exchange_n(at, &before, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return before;
}

} // namespace emulator

DEVICE uint32_t load_acquire(global_ptr<const uint32_t> pointer, EMULATOR_SITE)
{
    return __atomic_load_n(emulator::atomic_address(pointer, emulator::Access::Read, "load_acquire", file, line), __ATOMIC_ACQUIRE);
}
DEVICE void store_release(global_ptr<uint32_t> pointer, uint32_t value, EMULATOR_SITE)
{
    __atomic_store_n(emulator::atomic_address(pointer, emulator::Access::Write, "store_release", file, line), value, __ATOMIC_RELEASE);
}
DEVICE uint32_t add_acquire_release(global_ptr<uint32_t> pointer, uint32_t value, EMULATOR_SITE)
{
    uint32_t* at = emulator::atomic_address(pointer, emulator::Access::ReadWrite, "atomic add", file, line);
    return __atomic_fetch_add(at, value, __ATOMIC_ACQ_REL);
}
DEVICE void add_release(global_ptr<uint32_t> pointer, uint32_t value, EMULATOR_SITE) { add_acquire_release(pointer, value, file, line); }
DEVICE uint32_t atomic_add(global_ptr<uint32_t> pointer, uint32_t value, EMULATOR_SITE)
{
    return add_acquire_release(pointer, value, file, line);
}
// The threads of a CTA take turns, so this is indivisible.
DEVICE uint32_t atomic_add(shared_ptr<uint32_t> pointer, uint32_t value, EMULATOR_SITE)
{
    uint8_t* at = emulator::shared_address(pointer.address(), 4, 4, emulator::Access::ReadWrite, {"atomic add", file, line});
    uint32_t before;
    std::memcpy(&before, at, 4);
    value += before;
    std::memcpy(at, &value, 4);
    return before;
}
DEVICE int atomic_max(global_ptr<int> pointer, int value, EMULATOR_SITE)
{
    return emulator::atomic_maximum(emulator::atomic_address(pointer, emulator::Access::ReadWrite, "atomic max", file, line), value);
}
DEVICE uint64_t atomic_max(global_ptr<uint64_t> pointer, uint64_t value, EMULATOR_SITE)
{
    return emulator::atomic_maximum(emulator::atomic_address(pointer, emulator::Access::ReadWrite, "atomic max", file, line), value);
}

DEVICE void poll_pause() { emulator::current().executor->pause(); }
DEVICE void fence_device() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
template <class T> void prefetch_l2(global_ptr<T>) {}
DEVICE uint64_t clock_cycles() { return 0; }
