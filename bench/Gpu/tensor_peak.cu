// What the tensor cores do when nothing but they work: operands stay in shared memory (sm_90a, wgmma) or registers (mma.sync).
// A CTA of two warpgroups an SM; an iteration is 2 * 4 products of 64 x 256 x 16 (x 32 of 8-bit types), or as many operations of
// 16 x 8. Operands are random bits with exponents near 1: products of zeros draw less power and run at higher clocks.
#include "device.cuh"

static constexpr int Threads = 256;

DEVICE uint32_t hash(uint32_t value)
{
    value = (value ^ value >> 16) * 0x7feb352du;
    value = (value ^ value >> 15) * 0x846ca68bu;
    return value ^ value >> 16;
}

struct Bf16 {
    using Sum = float;
    DEVICE uint32_t word(uint32_t i) { return (hash(i) & 0x80ff80ffu) | 0x3f003f00u; }
    DEVICE void multiply(Sum* d, const uint32_t* a, const uint32_t* b) { mma_bf16(d, a, b); }
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    DEVICE void multiply(Sum (&d)[128], uint64_t a, uint64_t b) { wgmma_bf16(d, a, b, true); }
#endif
};

struct Int8 {
    using Sum = int;
    DEVICE uint32_t word(uint32_t i) { return hash(i); }
    DEVICE void multiply(Sum* d, const uint32_t* a, const uint32_t* b) { mma_s8(d, a, b); }
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    DEVICE void multiply(Sum (&d)[128], uint64_t a, uint64_t b) { wgmma_s8(d, a, b, true); }
#endif
};

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 890
struct Fp8 {
    using Sum = float;
    DEVICE uint32_t word(uint32_t i) { return (hash(i) & 0x87878787u) | 0x38383838u; }
    DEVICE void multiply(Sum* d, const uint32_t* a, const uint32_t* b) { mma_e4m3(d, a, b); }
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    DEVICE void multiply(Sum (&d)[128], uint64_t a, uint64_t b) { wgmma_e4m3(d, a, b, true); }
#endif
};
#endif

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
template <class T> DEVICE void run(global_ptr<float> sink, int iterations)
{
    constexpr int RowBytes = 128, TileA = 64 * RowBytes, TileB = 256 * RowBytes;
    const uint32_t base = shared_base();
    for (uint32_t i = static_cast<uint32_t>(thread_index()); i < (TileA + TileB) / 4; i += Threads)
        store(shared_at<uint32_t>(base + 4 * i), T::word(i));
    fence_async_proxy();
    barrier();
    const uint64_t a = matrix_descriptor(base, Swizzle::Bytes128, 1024), b = matrix_descriptor(base + TileA, Swizzle::Bytes128, 1024);
    typename T::Sum sum[128] = {};
    for (int i = 0; i < iterations; ++i) {
        wgmma_fence();
        UNROLL for (uint64_t k = 0; k < 4; ++k)
            T::multiply(sum, a + 2 * k, b + 2 * k);
        wgmma_commit();
        wgmma_wait<1>();
    }
    wgmma_wait<0>();
    float total = 0;
    UNROLL for (int i = 0; i < 128; ++i)
        total += static_cast<float>(sum[i]);
    sink[block_x() * Threads + thread_index()] = total;
}
#else
template <class T> DEVICE void run(global_ptr<float> sink, int iterations)
{
    constexpr int Tiles = 16, Rounds = 8;
    uint32_t a[4], b[2];
    typename T::Sum sum[Tiles][4] = {};
    UNROLL for (int i = 0; i < 4; ++i)
        a[i] = T::word(static_cast<uint32_t>(thread_index() * 8 + i));
    UNROLL for (int i = 0; i < 2; ++i)
        b[i] = T::word(static_cast<uint32_t>(thread_index() * 8 + 4 + i));
    for (int i = 0; i < iterations * Rounds; ++i)
        UNROLL for (int tile = 0; tile < Tiles; ++tile)
            T::multiply(sum[tile], a, b);
    float total = 0;
    UNROLL for (int tile = 0; tile < Tiles; ++tile)
        UNROLL for (int i = 0; i < 4; ++i)
            total += static_cast<float>(sum[tile][i]);
    sink[block_x() * Threads + thread_index()] = total;
}
#endif

KERNEL(tensor_peak_bf16, Threads, 1, (global_ptr<float> sink, int iterations)) { run<Bf16>(sink, iterations); }
KERNEL(tensor_peak_s8, Threads, 1, (global_ptr<float> sink, int iterations)) { run<Int8>(sink, iterations); }
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 890
KERNEL(tensor_peak_e4m3, Threads, 1, (global_ptr<float> sink, int iterations)) { run<Fp8>(sink, iterations); }
#endif
