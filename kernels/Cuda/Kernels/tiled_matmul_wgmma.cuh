// tiled_matmul.cuh for Hopper: wgmma on tiles that bulk copies bring, by persistent CTAs.
//
// Weights are A (64 rows to a warpgroup) and tokens N, so that few tokens cost little. A CTA has one warpgroup and up to 64 tokens,
// or two and 128 tokens or more. One further thread copies: it fills a ring of stages (a chunk of the warpgroups' weights and of the
// tile's tokens, two or three contiguous pieces), ahead across tiles; warpgroups release a stage when their products have read it.
// Two mbarriers a stage: `full` counts bytes, `empty` the warps. Where activations lie as rows, the thread's warp or warpgroup copies
// them sixteen bytes at a time; a chunk is told to the tensor cores' proxy when `Lag` further ones are on their way.
//
// Floor, many tokens: 2 * tokens * rows * columns operations at the tensor cores' rate. A tile of 128 x 256 needs 1024 of an SM's
// cycles a chunk: for the products 1024, for shared memory (128 bytes a cycle) 512 reading x twice, 128 reading weights and 384
// filling 48 KB, so 1024 as well if fills take the reads' port. Filling takes 47 bytes a cycle from L2. Between tiles the warpgroups
// write 128 KB of F32, about 3000 cycles that no product overlaps: 4 % at K = 8192 in INT8. Predicted: 75 to 80 % of the peak, as
// kernels of this shape without clusters reach elsewhere: 1500 TOPS of INT8 on an H200. Few tokens: the weights once through memory.
// FP8 keeps two sets of sums, so its widest tile has 192 tokens: 768 cycles of products a chunk and 832 of shared memory, counted as
// above; its additions take 192 of 768 issue slots while the other warpgroup's products run. Predicted: some 70 % of the peak.
//
// BF16 has half of INT8's columns in a chunk and half its operations a cycle, so a chunk's counts are the same: of 1024 cycles 1024 for
// products and 1024 for shared memory, and the writing of tiles half as much of the whole, 2 %. A producer warp issues 220
// instructions for its 16 copies of a chunk, of the 1024 that its scheduler has time for. Predicted: 75 to 80 % of the peak, 750 TFLOPS on an H200; cuBLAS is known for 70
// to 76 %. Beyond 256 tokens a matrix of several splits has tiles of 192 tokens, whose two sets of sums fit: 768 and 832 cycles a chunk.
// One token: a chunk's 9 KB arrive in 460 of an SM's cycles (4.8 TB/s, 132 SMs, 1.8 GHz); shared memory is filled in 72 and read in
// 72 of them, and all warps issue some 130 instructions, so weights in registers (mma.sync) would gain nothing.
//
// Sums: INT8 exact. BF16 in the tensor core's F32, k ascending, one run a split. FP8 keeps fewer bits than F32 while it sums, so each
// chunk's sum is added to one in F32. A token's bits do not depend on the other columns of its product; that they are the same for all
// N of the instruction is what the hardware is believed to do and the emulator cannot show.
#pragma once
#include "tiled_matmul.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
template <class E, int N> struct WgmmaTile {
    using Sum = typename E::Sum;
    static constexpr int Registers = N / 2, Warpgroups = N <= 64 ? 1 : 2;
    static constexpr int FirstProducer = Warpgroups * 128, Producers = E::Quantized ? 1 : Warpgroups == 1 ? 32 : 128;
    static constexpr int SliceTokens = N < 32 ? N : 32, SliceStride = BlockRows + 4; // floats; the padding spares bank conflicts
    static constexpr int SliceBytes = SliceTokens * SliceStride * 4;
    static constexpr int WeightBytes = Warpgroups * BlockBytes, StageBytes = WeightBytes + N * ChunkBytes;
    // Two CTAs an SM, or one. The host computes the same.
    static constexpr int Budget = (N <= 64 ? 110 : 224) * 1024 - 1024 - Warpgroups * SliceBytes;
    static constexpr int Stages = Budget / StageBytes < 10 ? Budget / StageBytes : 10;
    // From shared_base(): mbarriers and tickets, the stages, the warpgroups' slices.
    static constexpr int StagesAt = 1024, SlicesAt = StagesAt + Stages * StageBytes;
    static constexpr int Lag = Stages < 6 ? 1 : Stages / 2 - 1; // chunks of rows on their way when one is told to be there
    static constexpr bool Total = !E::Exact && (N == 128 || (!E::Promoted && N == 192)); // goes through several splits of inexact sums
    static_assert(Stages >= 3 && Stages * 16 <= 512, "mbarriers come first, tickets from byte 512 on");
};

DEVICE uint32_t full_barrier(int stage) { return shared_base() + stage * 16; }
DEVICE uint32_t empty_barrier(int stage) { return shared_base() + stage * 16 + 8; }

// A place in the ring; `round` is the parity of its use.
template <class T> struct RingPlace {
    int stage = 0;
    uint32_t round = 0;
    DEVICE void advance(RingPlace& place)
    {
        if (++place.stage == T::Stages) {
            place.stage = 0;
            place.round ^= 1;
        }
    }
};

// Where the copies of a tile's chunks come from.
struct TileSource {
    global_ptr<const uint8_t> weights, x;
    int x_bytes;
};

template <class E, class T, int N> DEVICE TileSource source_of(const TiledMatMulArguments& a, const TileWork& work, int chunk)
{
    const int first = work.token_tile * N, left = a.padded_tokens - first;
    return {a.weights + (static_cast<int64_t>(work.row_tile) * T::Warpgroups * a.chunks + chunk) * BlockBytes,
            a.x + (static_cast<int64_t>(chunk) * a.padded_tokens + first) * ChunkBytes, !E::Quantized ? 0 : (left < N ? left : N) * ChunkBytes};
}

template <class T> DEVICE void copy_weights(const TiledMatMulArguments& a, const TileSource& from, int stage, uint64_t policy)
{
    const uint32_t to = shared_base() + T::StagesAt + stage * T::StageBytes;
    mbarrier_expect(full_barrier(stage), T::WeightBytes + from.x_bytes);
    UNROLL for (int g = 0; g < T::Warpgroups; ++g)
        copy_bulk(to + g * BlockBytes, from.weights + static_cast<int64_t>(g) * a.chunks * BlockBytes, BlockBytes, full_barrier(stage), policy);
}

template <class T> DEVICE void copy_x(const TileSource& from, int stage)
{
    copy_bulk(shared_base() + T::StagesAt + stage * T::StageBytes + T::WeightBytes, from.x, from.x_bytes, full_barrier(stage));
}

// Tells that a producer warp's rows of a stage are there, once at most Lag later groups of its copies are on their way.
template <class T, int Lag> DEVICE void publish_rows(RingPlace<T>& landed)
{
    copy_async_wait<Lag>();
    fence_async_proxy();
    warp_barrier();
    if (lane_index() == 0)
        mbarrier_arrive(full_barrier(landed.stage));
    RingPlace<T>::advance(landed);
}

// Fills the ring with all of the CTA's chunks, by its producers. The first tile's weights do not wait for the kernel before this one.
template <class E, class T, int N> DEVICE void fill_stages(const TiledMatMulArguments& a)
{
    const uint64_t policy = evict_first_policy();
    const bool leads = thread_index() == T::FirstProducer;
    const int64_t x_step = static_cast<int64_t>(a.padded_tokens) * ChunkBytes;
    RingPlace<T> place, landed;
    int early = 0, behind = 0;
    for (int item = block_x(); item < TileWork::items(a); item += grid_x()) {
        const TileWork work = TileWork::of(a, item);
        const int first = split_begin(a, work.first_split), chunks = split_begin(a, work.end_split) - first;
        TileSource source = source_of<E, T, N>(a, work, first);
        if (item == block_x()) {
            TileSource ahead = source;
            for (; early < T::Stages && early < chunks; ++early, ahead.weights += BlockBytes)
                if (leads)
                    copy_weights<T>(a, ahead, early, policy);
            dependency_wait();
        }
        for (int chunk = 0; chunk < chunks; ++chunk) {
            if (early > 0)
                --early;
            else {
                mbarrier_wait(empty_barrier(place.stage), place.round ^ 1);
                if (leads)
                    copy_weights<T>(a, source, place.stage, policy);
            }
            if constexpr (!E::Quantized) {
                const uint32_t to = shared_base() + T::StagesAt + place.stage * T::StageBytes + T::WeightBytes;
                copy_rows<N, T::Producers / 8>(a, work.token_tile * N, first + chunk, to, thread_index() - T::FirstProducer);
                copy_async_commit();
                if (behind == T::Lag)
                    publish_rows<T, T::Lag>(landed);
                else
                    ++behind;
            } else {
                copy_x<T>(source, place.stage);
            }
            source.weights += BlockBytes;
            source.x += x_step;
            RingPlace<T>::advance(place);
        }
    }
    for (; behind > 0; --behind)
        publish_rows<T, 0>(landed);
}

// One lane of each warp tells that the warp's products have read a stage.
DEVICE void release_stage(int stage)
{
    if (lane_index() == 0)
        mbarrier_arrive(empty_barrier(stage));
}

// Starts the products of a stage's chunk; `fresh`: the sums begin with them.
template <class E, class T> DEVICE void multiply_chunk(typename E::Sum (&sum)[T::Registers], int stage, bool fresh)
{
    const uint32_t at = shared_base() + T::StagesAt + stage * T::StageBytes;
    const uint64_t weights = matrix_descriptor(at + warp_index() / 4 * BlockBytes, Swizzle::Bytes128, 1024);
    const uint64_t x = matrix_descriptor(at + T::WeightBytes, Swizzle::Bytes128, 1024);
    wgmma_fence();
    UNROLL for (int k = 0; k < ChunkBytes / 32; ++k)
        E::multiply(sum, weights + 2 * k, x + 2 * k, !(fresh && k == 0));
    wgmma_commit();
}

// Sums chunks in the tensor cores from beginning to end; a chunk is released while the next one runs.
template <class E, class T> DEVICE void sum_run(typename E::Sum (&sum)[T::Registers], RingPlace<T>& place, int chunks)
{
    int before = 0;
    UNROLL for (int i = 0; i < T::Registers; ++i) // ptxas serializes products whose first one ignores what is in the registers
        sum[i] = 0;
    NO_UNROLL for (int chunk = 0; chunk < chunks; ++chunk) {
        mbarrier_wait(full_barrier(place.stage), place.round);
        multiply_chunk<E, T>(sum, place.stage, false);
        wgmma_wait<1>();
        if (chunk > 0)
            release_stage(before);
        before = place.stage;
        RingPlace<T>::advance(place);
    }
    wgmma_wait<0>();
    release_stage(before);
}

// Adds each chunk's sum in F32.
template <class E, class T> DEVICE void sum_promoted(typename E::Sum (&sum)[T::Registers], RingPlace<T>& place, int chunks)
{
    NO_UNROLL for (int chunk = 0; chunk < chunks; ++chunk) {
        typename E::Sum part[T::Registers];
        mbarrier_wait(full_barrier(place.stage), place.round);
        multiply_chunk<E, T>(part, place.stage, true);
        wgmma_wait<0>();
        release_stage(place.stage);
        RingPlace<T>::advance(place);
        UNROLL for (int i = 0; i < T::Registers; ++i)
            sum[i] = chunk == 0 ? part[i] : sum[i] + part[i];
    }
}

template <class E, class T> DEVICE void sum_split(typename E::Sum (&sum)[T::Registers], RingPlace<T>& place, int chunks)
{
    if constexpr (E::Promoted)
        sum_promoted<E, T>(sum, place, chunks);
    else
        sum_run<E, T>(sum, place, chunks);
}

template <class E, class T> DEVICE void sum_splits(const TiledMatMulArguments& a, const TileWork& work, typename E::Sum (&sum)[T::Registers], RingPlace<T>& place)
{
    if constexpr (T::Total) {
        sum_split<E, T>(sum, place, split_begin(a, work.first_split + 1) - split_begin(a, work.first_split));
        NO_UNROLL for (int split = work.first_split + 1; split < work.end_split; ++split) {
            typename E::Sum next[T::Registers];
            sum_split<E, T>(next, place, split_begin(a, split + 1) - split_begin(a, split));
            UNROLL for (int i = 0; i < T::Registers; ++i)
                sum[i] += next[i];
        }
    } else {
        sum_split<E, T>(sum, place, split_begin(a, work.end_split) - split_begin(a, work.first_split));
    }
}

// Turns a warpgroup's 64 x N sums in its slice of shared memory, 32 tokens at a time, so that half a warp writes 64 rows of a token,
// or a quarter 32 where gated.
template <class E, class T, int N> DEVICE void write_tile(const TiledMatMulArguments& a, const TileWork& work, const typename T::Sum (&sum)[T::Registers])
{
    using G = Gate<E::Quantized>;
    constexpr int SliceRegisters = T::SliceTokens / 2;
    const int group = warp_index() / 4, warp = warp_index() % 4, lane = lane_index(), row = warp * 16 + (lane >> 2);
    const int block = work.row_tile * T::Warpgroups + group, first_token = work.token_tile * N, lanes = a.gated ? 8 : 16;
    const int column = lane & (lanes - 1), first_row = block * (4 * lanes) + 4 * column, own = warp * (32 / lanes) + lane / lanes;
    const G gate = G::of(a, block * BlockRows + row);
    shared_ptr<float> slice = shared_at<float>(shared_base() + T::SlicesAt + group * T::SliceBytes);
    UNROLL for (int s = 0; s < N / T::SliceTokens; ++s) {
        const int left = a.tokens - first_token - s * T::SliceTokens;
        if (left <= 0)
            break;
        barrier(1 + group, 128);
        if (a.gated) {
            UNROLL for (int i = 0; i < SliceRegisters; i += 4)
                UNROLL for (int e = 0; e < 2; ++e) {
                    const int token = 8 * (i >> 2) + 2 * (lane & 3) + e, at = s * SliceRegisters + i + e;
                    store(slice + token * T::SliceStride + warp * 8 + (lane >> 2),
                          G::apply(a, gate, first_token + s * T::SliceTokens + token, sum_to_float(sum[at]), sum_to_float(sum[at + 2])));
                }
        } else {
            UNROLL for (int i = 0; i < SliceRegisters; ++i)
                store(slice + (8 * (i >> 2) + 2 * (lane & 3) + (i & 1)) * T::SliceStride + row + 8 * (i >> 1 & 1), sum_to_float(sum[s * SliceRegisters + i]));
        }
        barrier(1 + group, 128);
        if (first_row < a.rows)
            NO_UNROLL for (int token = own; token < T::SliceTokens && token < left; token += 128 / lanes)
                write_four(a, first_token + s * T::SliceTokens + token, first_row, load(cast<const float4>(slice + token * T::SliceStride) + column));
    }
}

template <class E, int N> DEVICE void tiled_matmul(const TiledMatMulArguments& a)
{
    using T = WgmmaTile<E, N>;
    if (thread_index() == 0) {
        for (int s = 0; s < T::Stages; ++s) {
            mbarrier_init(full_barrier(s), E::Quantized ? 1 : 1 + T::Producers / 32);
            mbarrier_init(empty_barrier(s), T::Warpgroups * 4);
        }
        fence_mbarrier_init();
    }
    barrier();
    if (warp_index() >= T::Warpgroups * 4) {
        if constexpr (T::Warpgroups > 1)
            decrease_registers<40>();
        if (thread_index() < T::FirstProducer + T::Producers)
            fill_stages<E, T, N>(a);
        return;
    }
    if constexpr (T::Warpgroups > 1)
        increase_registers<232>();
    RingPlace<T> place;
    dependency_wait();
    for (int item = block_x(); item < TileWork::items(a); item += grid_x()) {
        const TileWork work = TileWork::of(a, item);
        typename E::Sum sum[T::Registers];
        sum_splits<E, T>(a, work, sum, place);
        if (item + grid_x() >= TileWork::items(a))
            launch_dependents();
        if constexpr (N <= 128) {
            const int group = warp_index() / 4, tile = (work.row_tile * T::Warpgroups + group) * a.token_tiles + work.token_tile;
            if (a.apart > 1 && !reduce_splits<128>(a, tile, work.first_split, sum, thread_index() % 128, 1 + group, shared_base() + 512 + 4 * group))
                continue;
        }
        write_tile<E, T, N>(a, work, sum);
    }
}

struct S8 {
    using Sum = int;
    static constexpr bool Exact = true, Promoted = false, Quantized = true;
    template <int R> DEVICE void multiply(Sum (&sum)[R], uint64_t a, uint64_t b, bool accumulate) { wgmma_s8(sum, a, b, accumulate); }
};
struct E4m3 {
    using Sum = float;
    static constexpr bool Exact = false, Promoted = true, Quantized = true;
    template <int R> DEVICE void multiply(Sum (&sum)[R], uint64_t a, uint64_t b, bool accumulate) { wgmma_e4m3(sum, a, b, accumulate); }
};
struct BFloat16 {
    using Sum = float;
    static constexpr bool Exact = false, Promoted = false, Quantized = false;
    template <int R> DEVICE void multiply(Sum (&sum)[R], uint64_t a, uint64_t b, bool accumulate) { wgmma_bf16(sum, a, b, accumulate); }
};

#define TILED_MATMUL(name, Element, N, ctas)                                                                                    \
    KERNEL(matmul_##name##_t##N, (N <= 64 ? 160 : 384), ctas, (const TiledMatMulArguments arguments))                           \
    {                                                                                                                           \
        tiled_matmul<Element, N>(arguments);                                                                                    \
    }
#endif
