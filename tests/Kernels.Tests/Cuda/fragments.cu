// One instruction each, on registers and shared memory as the host gives them, for tests of layouts.
#include "device.cuh"

#define MULTIPLY_FRAGMENTS(name, instruction, T)                                                                                \
    KERNEL(name, 32, 1, (global_ptr<const uint32_t> a, global_ptr<const uint32_t> b, global_ptr<T> d))                          \
    {                                                                                                                           \
        uint32_t fragment_a[4], fragment_b[2];                                                                                  \
        T sum[4];                                                                                                               \
        for (int r = 0; r < 4; ++r) {                                                                                           \
            fragment_a[r] = a[lane_index() * 4 + r];                                                                            \
            sum[r] = d[lane_index() * 4 + r];                                                                                   \
        }                                                                                                                       \
        for (int r = 0; r < 2; ++r)                                                                                             \
            fragment_b[r] = b[lane_index() * 2 + r];                                                                            \
        instruction(sum, fragment_a, fragment_b);                                                                               \
        for (int r = 0; r < 4; ++r)                                                                                             \
            d[lane_index() * 4 + r] = sum[r];                                                                                   \
    }
MULTIPLY_FRAGMENTS(fragments_bf16, mma_bf16, float)
MULTIPLY_FRAGMENTS(fragments_f16, mma_f16, float)
MULTIPLY_FRAGMENTS(fragments_s8, mma_s8, int)
#if __CUDA_ARCH__ >= 890
MULTIPLY_FRAGMENTS(fragments_e4m3, mma_e4m3, float)
#endif

// image: what shared memory holds, a multiple of 16 bytes.
DEVICE void fill_shared(global_ptr<const uint4> image, int bytes)
{
    for (int i = thread_index(); i < bytes / 16; i += thread_count())
        store(shared_at<uint4>(shared_base()) + i, load(image + i));
}

#define LOAD_MATRICES(name, instruction, count)                                                                                 \
    KERNEL(name, 32, 1, (global_ptr<const uint4> image, int bytes, global_ptr<const uint32_t> offsets, global_ptr<uint32_t> out)) \
    {                                                                                                                           \
        uint32_t registers[count];                                                                                              \
        fill_shared(image, bytes);                                                                                              \
        barrier();                                                                                                              \
        instruction(registers, shared_base() + offsets[lane_index()]);                                                          \
        for (int r = 0; r < count; ++r)                                                                                         \
            out[lane_index() * count + r] = registers[r];                                                                       \
    }
LOAD_MATRICES(load_x4, load_matrix_x4, 4)
LOAD_MATRICES(load_x2, load_matrix_x2, 2)
LOAD_MATRICES(load_x1, load_matrix_x1, 1)
LOAD_MATRICES(load_x4_transposed, load_matrix_x4_transposed, 4)
LOAD_MATRICES(load_x2_transposed, load_matrix_x2_transposed, 2)

#if __CUDA_ARCH__ >= 900
// Stores registers as matrices and reads shared memory back: out has 512 bytes.
#define STORE_MATRICES(name, instruction)                                                                                       \
    KERNEL(name, 32, 1, (global_ptr<const uint32_t> registers, global_ptr<const uint32_t> offsets, global_ptr<uint4> out))      \
    {                                                                                                                           \
        uint32_t own[4];                                                                                                        \
        for (int r = 0; r < 4; ++r)                                                                                             \
            own[r] = registers[lane_index() * 4 + r];                                                                           \
        instruction(shared_base() + offsets[lane_index()], own);                                                                \
        barrier();                                                                                                              \
        out[lane_index()] = load(shared_at<uint4>(shared_base()) + lane_index());                                               \
    }
STORE_MATRICES(store_x4, store_matrix_x4)
STORE_MATRICES(store_x4_transposed, store_matrix_x4_transposed)
#endif

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
// One wgmma on an image of shared memory; descriptors count from its start. registers_a is used when it is given.
#define MULTIPLY_WARPGROUP(name, instruction, T, count)                                                                         \
    KERNEL(name, 128, 1, (global_ptr<const uint4> image, int bytes, uint64_t a, uint64_t b, global_ptr<const uint32_t> registers_a, \
                          global_ptr<T> d, int accumulate))                                                                     \
    {                                                                                                                           \
        T sum[count];                                                                                                           \
        uint32_t fragment[4] = {};                                                                                              \
        fill_shared(image, bytes);                                                                                              \
        fence_async_proxy();                                                                                                    \
        barrier();                                                                                                              \
        UNROLL for (int i = 0; i < count; ++i)                                                                                  \
            sum[i] = d[thread_index() * count + i];                                                                             \
        UNROLL for (int r = 0; r < 4; ++r)                                                                                      \
            if (registers_a != nullptr)                                                                                         \
                fragment[r] = registers_a[thread_index() * 4 + r];                                                              \
        wgmma_fence();                                                                                                          \
        if (registers_a != nullptr)                                                                                             \
            instruction(sum, fragment, b + shared_base() / 16, accumulate != 0);                                                \
        else                                                                                                                    \
            instruction(sum, a + shared_base() / 16, b + shared_base() / 16, accumulate != 0);                                  \
        wgmma_commit();                                                                                                         \
        wgmma_wait<0>();                                                                                                        \
        UNROLL for (int i = 0; i < count; ++i)                                                                                  \
            d[thread_index() * count + i] = sum[i];                                                                             \
    }
MULTIPLY_WARPGROUP(warpgroup_bf16_n8, wgmma_bf16, float, 4)
MULTIPLY_WARPGROUP(warpgroup_bf16_n64, wgmma_bf16, float, 32)
MULTIPLY_WARPGROUP(warpgroup_bf16_n256, wgmma_bf16, float, 128)
MULTIPLY_WARPGROUP(warpgroup_bf16_n64_transposed, wgmma_bf16<1>, float, 32)
MULTIPLY_WARPGROUP(warpgroup_f16_n32, wgmma_f16, float, 16)
MULTIPLY_WARPGROUP(warpgroup_s8_n16, wgmma_s8, int, 8)
MULTIPLY_WARPGROUP(warpgroup_s8_n128, wgmma_s8, int, 64)
MULTIPLY_WARPGROUP(warpgroup_e4m3_n192, wgmma_e4m3, float, 96)
#endif
