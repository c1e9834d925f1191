// What a kernel library, compiled from .cu files, and the emulated driver share: the calling thread's state, and the calls
// through which it synchronises. Everything else is private to the driver.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace emulator {

// A thread's stack; its Thread lies at the lowest address, so that masking the stack pointer finds it.
constexpr size_t StackBytes = 64 * 1024;
// Device addresses are host addresses plus this: the host faults when it follows one. Page-locked memory has its host address only.
constexpr uint64_t DeviceBias = 1ull << 56;
inline uint8_t* host_address(uint64_t address) { return reinterpret_cast<uint8_t*>(address & ~DeviceBias); }
// Where the CTA's dynamic shared memory begins, as on sm_90, whose system keeps the first KB.
constexpr uint32_t SharedBase = 1024;
// Fills memory that no one has written: NaN in every floating-point format, -1 as an index.
constexpr uint8_t PoisonByte = 0xFF;

// Where in the kernel's source an operation stands.
struct Site {
    const char* operation;
    const char* file;
    int line;
};

inline bool same(const Site& a, const Site& b)
{
    return a.line == b.line && std::strcmp(a.operation, b.operation) == 0 && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

// The error codes of the driver API that a kernel can cause.
enum class Fault { IllegalAddress = 700, Assert = 710, MisalignedAddress = 716, IllegalInstruction = 715, LaunchFailed = 719 };

enum class Access { Read, Write, ReadWrite };

struct Dim3 {
    uint32_t x, y, z;
};

// The operation of a warp or warpgroup, carried out once by the lane that arrives last. operands[lane] is null outside `lanes`.
using GroupOperation = void (*)(void* const* operands, uint32_t lanes);

// Shared memory as bulk copies and wgmma see it.
class AsyncView {
public:
    // Sixteen bytes.
    virtual const uint8_t* read(uint32_t address) = 0;

protected:
    ~AsyncView() = default;
};

struct Product;
using MultiplyGroup = void (*)(const Product& product, uint32_t* accumulators, AsyncView& view);

// A thread's part of a wgmma product. a is null when A lies in shared memory.
struct ProductPart {
    void* d;
    const uint32_t* a;
    uint64_t descriptor_a, descriptor_b;
    int registers;
    bool transpose_b, accumulate;
    MultiplyGroup multiply;
};

// The product of a warpgroup: accumulators are [thread][register].
struct Product {
    const uint32_t* a[128];
    uint64_t descriptor_a, descriptor_b;
    bool transpose_b, accumulate;
    MultiplyGroup multiply;
};

// A stretch of device or page-locked memory that was looked up before.
struct Window {
    uint64_t begin, bytes;
};
constexpr int WindowCount = 8;

class Executor {
public:
    virtual void warp_collective(uint32_t lanes, const Site& site, GroupOperation operation, void* operand) = 0;
    // threads: 0 for all of the CTA.
    virtual void barrier(int id, int threads, bool wait, const Site& site) = 0;
    // Faults, or puts the allocation into its window.
    virtual void find_allocation(uint64_t address, uint32_t bytes, Access access, const Site& site) = 0;
    virtual void preempt() = 0;
    // The thread polls memory that another CTA is to write.
    virtual void pause() = 0;
    virtual void record_access(bool shared, uint64_t address, uint32_t bytes, const Site& site) = 0;
    virtual void copy_async(uint32_t to, uint64_t from, uint32_t bytes, uint32_t source_bytes, const Site& site) = 0;
    virtual void copy_async_commit() = 0;
    virtual void copy_async_wait(int groups) = 0;
    virtual void mbarrier_init(uint32_t address, int count, const Site& site) = 0;
    virtual void mbarrier_invalidate(uint32_t address, const Site& site) = 0;
    // expected: bytes beside the arrival.
    virtual void mbarrier_arrive(uint32_t address, int expected, const Site& site) = 0;
    virtual bool mbarrier_test(uint32_t address, uint32_t parity, const Site& site) = 0;
    virtual void mbarrier_wait(uint32_t address, uint32_t parity, const Site& site) = 0;
    virtual void fence_mbarrier_init() = 0;
    virtual void copy_async_arrive(uint32_t address, const Site& site) = 0;
    virtual void copy_bulk(uint32_t to, uint64_t from, uint32_t bytes, uint32_t mbarrier, const Site& site) = 0;
    virtual void store_bulk(uint64_t to, uint32_t from, uint32_t bytes, const Site& site) = 0;
    virtual void store_bulk_commit() = 0;
    virtual void store_bulk_wait(int groups) = 0;
    virtual void fence_async_proxy() = 0;
    virtual void multiply_async(const ProductPart& part, const Site& site) = 0;
    virtual void multiply_fence(const Site& site) = 0;
    virtual void multiply_commit() = 0;
    virtual void multiply_wait(int groups, const Site& site) = 0;
    [[noreturn]] virtual void fail(Fault fault, const Site& site, const char* format, ...) = 0;

protected:
    ~Executor() = default;
};

struct Thread {
    Executor* executor;
    Window* windows;
    int32_t* until_preemption; // memory accesses
    uint8_t* shared; // of address 0
    uint32_t* shared_writers; // of address 0, one for four bytes: who wrote them since it last fenced the asynchronous proxy
    uint32_t writer;          // this thread and its number of fences
    uint32_t shared_end;
    uint32_t linear; // index in the CTA
    bool lint;       // accesses are recorded
    Dim3 index, block, block_size, grid_size;
};

inline Thread& current()
{
    return *reinterpret_cast<Thread*>(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) & ~(StackBytes - 1));
}

// The exported object of a kernel's name.
struct Kernel {
    uint64_t magic;
    const char* name;
    void (*run)(void* const* arguments); // in every thread
    int max_threads, min_ctas;
    int parameter_count;
    const uint32_t* parameter_bytes;
};
constexpr uint64_t KernelMagic = 0x4c454e52454b534cull;

inline void count_access(Thread& thread)
{
    if (--*thread.until_preemption <= 0)
        thread.executor->preempt();
}

// The host's address of `bytes` bytes of global memory, after checking bounds and alignment.
inline uint8_t* global_address(uint64_t address, uint32_t bytes, uint32_t alignment, Access access, const Site& site)
{
    Thread& thread = current();
    count_access(thread);
    if (address % alignment != 0)
        thread.executor->fail(Fault::MisalignedAddress, site, "global address 0x%llx is not a multiple of %u",
                              static_cast<unsigned long long>(address), alignment);
    const Window& window = thread.windows[(address >> 16) % WindowCount];
    if (address - window.begin > window.bytes || address - window.begin + bytes > window.bytes)
        thread.executor->find_allocation(address, bytes, access, site);
    if (thread.lint)
        thread.executor->record_access(false, address, bytes, site);
    return host_address(address);
}

// Checked likewise. A write is noted for the check of the asynchronous proxy.
inline uint8_t* shared_address(uint32_t address, uint32_t bytes, uint32_t alignment, Access access, const Site& site)
{
    Thread& thread = current();
    count_access(thread);
    if (address % alignment != 0)
        thread.executor->fail(Fault::MisalignedAddress, site, "shared address 0x%x is not a multiple of %u", address, alignment);
    if (address < SharedBase || address > thread.shared_end || address + bytes > thread.shared_end)
        thread.executor->fail(Fault::IllegalAddress, site, "%u bytes at shared address 0x%x; the CTA's shared memory is 0x%x..0x%x",
                              bytes, address, SharedBase, thread.shared_end);
    if (thread.lint)
        thread.executor->record_access(true, address, bytes, site);
    if (access != Access::Read)
        for (uint32_t word = address / 4; word < (address + bytes + 3) / 4; ++word)
            thread.shared_writers[word] = thread.writer;
    return thread.shared + address;
}

} // namespace emulator

// The operation's site as the last parameters of a device function.
#define EMULATOR_SITE const char* file = __builtin_FILE(), int line = __builtin_LINE()
