// A pipelined matrix product of one CTA by bulk copies, mbarriers and wgmma, and the same with one fault each.
#include "device.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
enum class Planted { Nothing, NoFullWait, NoEmptyWait, NoProxyFence, NoProductWait, NoProductFence, ChangedRegisters, NoExpect, NoBarrierFence, EarlyRelease };

static constexpr int Columns = 64, RowBytes = 128, TileBytes = 64 * RowBytes, Stages = 2;

// Rows of 128 bytes, 64 of them, from global memory in 16-byte pieces, swizzled.
DEVICE void copy_tile(uint32_t to, global_ptr<const uint8_t> from, int stride, int thread)
{
    for (int piece = thread; piece < TileBytes / 16; piece += 128) {
        const int row = piece / 8;
        store(shared_at<uint4>(swizzle_128(to + static_cast<uint32_t>(piece) * 16)),
              load(cast<const uint4>(from + static_cast<int64_t>(row) * stride + piece % 8 * 16)));
    }
}

// d[64][64] = a[64][k] * b[64][k]^T over `chunks` of 128 bytes of k. a and b are stored [chunk][64][128 bytes], b swizzled already.
// Threads 0..127 multiply; thread 128 brings b's chunks through a ring of stages.
template <Planted P, bool Registers> DEVICE void multiply(global_ptr<const uint8_t> a, global_ptr<const uint8_t> b, global_ptr<float> d, int chunks)
{
    const uint32_t base = shared_base(), full = base, empty = base + 8 * Stages, ring = base + 1024, tile_a = ring + Stages * TileBytes;
    if (thread_index() == 0) {
        for (int s = 0; s < Stages; ++s) {
            mbarrier_init(full + 8 * s, 1);
            mbarrier_init(empty + 8 * s, 128);
        }
        if (P != Planted::NoBarrierFence)
            fence_mbarrier_init();
    }
    barrier();
    if (thread_index() >= 128) {
        if (thread_index() == 128)
            for (int chunk = 0; chunk < chunks; ++chunk) {
                const int stage = chunk % Stages, round = chunk / Stages;
                if (P != Planted::NoEmptyWait)
                    mbarrier_wait(empty + 8 * stage, static_cast<uint32_t>(round & 1) ^ 1);
                if (P != Planted::NoExpect)
                    mbarrier_expect(full + 8 * stage, TileBytes);
                else
                    mbarrier_arrive(full + 8 * stage);
                copy_bulk(ring + stage * TileBytes, b + static_cast<int64_t>(chunk) * TileBytes, TileBytes, full + 8 * stage);
            }
        return;
    }
    float sum[Columns / 2] = {};
    uint32_t fragment[2][4][4];
    for (int chunk = 0; chunk < chunks; ++chunk) {
        const int stage = chunk % Stages, round = chunk / Stages, lane = lane_index();
        if (P != Planted::NoFullWait)
            mbarrier_wait(full + 8 * stage, static_cast<uint32_t>(round & 1));
        const uint64_t matrix_b = matrix_descriptor(ring + stage * TileBytes, Swizzle::Bytes128, 1024);
        const uint64_t matrix_a = matrix_descriptor(tile_a, Swizzle::Bytes128, 1024);
        if (Registers) {
            global_ptr<const uint32_t> rows = cast<const uint32_t>(a + static_cast<int64_t>(chunk) * TileBytes);
            for (int k = 0; k < 4; ++k)
                for (int r = 0; r < 4; ++r)
                    fragment[chunk & 1][k][r] = rows[(warp_index() * 16 + lane / 4 + 8 * (r & 1)) * 32 + k * 8 + lane % 4 + 4 * (r >> 1)];
        } else {
            copy_tile(tile_a, a + static_cast<int64_t>(chunk) * TileBytes, RowBytes, thread_index());
            if (P != Planted::NoProxyFence)
                fence_async_proxy();
            barrier(1, 128);
        }
        if (P != Planted::NoProductFence)
            wgmma_fence();
        for (int k = 0; k < 4; ++k)
            if (Registers)
                wgmma_bf16(sum, fragment[chunk & 1][k], matrix_b + 2 * k, true);
            else
                wgmma_bf16(sum, matrix_a + 2 * k, matrix_b + 2 * k, true);
        wgmma_commit();
        if (P == Planted::ChangedRegisters)
            fragment[chunk & 1][0][0] = 0;
        if (P == Planted::EarlyRelease)
            mbarrier_arrive(empty + 8 * stage);
        if (P != Planted::NoProductWait)
            wgmma_wait<0>();
        if (!Registers)
            barrier(1, 128);
        if (P != Planted::EarlyRelease)
            mbarrier_arrive(empty + 8 * stage);
    }
    for (int i = 0; i < Columns / 2; ++i)
        d[(warp_index() * 16 + lane_index() / 4 + 8 * (i >> 1 & 1)) * Columns + 8 * (i >> 2) + 2 * (lane_index() % 4) + (i & 1)] = sum[i];
}

#define MULTIPLY(name, planted, registers)                                                                                      \
    KERNEL(name, 160, 1, (global_ptr<const uint8_t> a, global_ptr<const uint8_t> b, global_ptr<float> d, int chunks))           \
    {                                                                                                                           \
        multiply<Planted::planted, registers>(a, b, d, chunks);                                                                 \
    }
MULTIPLY(multiply_shared, Nothing, false)
MULTIPLY(multiply_registers, Nothing, true)
MULTIPLY(no_full_wait, NoFullWait, true)
MULTIPLY(no_empty_wait, NoEmptyWait, true)
MULTIPLY(no_proxy_fence, NoProxyFence, false)
MULTIPLY(no_product_wait, NoProductWait, true)
MULTIPLY(no_product_fence, NoProductFence, true)
MULTIPLY(changed_registers, ChangedRegisters, true)
MULTIPLY(no_expect, NoExpect, true)
MULTIPLY(no_barrier_fence, NoBarrierFence, true)
MULTIPLY(early_release, EarlyRelease, true)
#endif
