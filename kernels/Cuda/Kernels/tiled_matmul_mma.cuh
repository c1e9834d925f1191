// tiled_matmul.cuh by mma.sync, for sm_80 and sm_89.
//
// A CTA of eight warps computes 128 rows x Tokens tokens. Few tokens: a warp has 16 rows and all tokens. From 64 on it has 32 rows
// and half of the tokens, so that a fragment serves more products: for 128 tokens, 32 x 64, 24 KB through shared memory for
// 2 * 128 * 128 * 32 operations, 192 cycles against the tensor cores' 256 (A100).
// Floor, many tokens: 2 * tokens * rows * columns operations; few: the weights once through memory.
#pragma once
#include "tiled_matmul.cuh"

static constexpr int Threads = 256, TileRows = 2 * BlockRows;

template <int Count> struct MmaTile {
    static constexpr int Tokens = Count;
    static constexpr int WarpsAcross = Tokens >= 64 ? 2 : 1;                              // that share rows
    static constexpr int RowTiles = WarpsAcross, TokenTiles = Tokens / 8 / WarpsAcross;   // of a warp, 16 and 8 each
    static constexpr int Sums = RowTiles * TokenTiles * 4;
    static constexpr int WeightBytes = 2 * BlockBytes, StageBytes = WeightBytes + Tokens * ChunkBytes;
    static constexpr int Budget = (Tokens >= 64 ? 98 : 80) * 1024;                        // sm_89 has 99 KB. The host computes the same
    static constexpr int Stages = Budget / StageBytes;
    static constexpr int SliceTokens = Tokens < 64 ? Tokens : 64, SliceStride = TileRows + 4;
    static_assert(SliceTokens * SliceStride * 4 <= Stages * StageBytes, "the turned tile takes the stages' place");
};

// Byte of sixteen-byte part `part` of row `row` among rows of 128 swizzled bytes.
DEVICE uint32_t part_at(int row, int part) { return static_cast<uint32_t>(row * ChunkBytes + ((part ^ (row & 7)) << 4)); }

template <class E, class T> DEVICE void copy_chunk(const TiledMatMulArguments& a, const TileWork& work, int chunk, uint32_t stage, uint64_t policy, bool weights)
{
    const int at = thread_index() * 16;
    if (weights) {
        UNROLL for (int b = 0; b < 2; ++b) {
            const global_ptr<const uint8_t> from = a.weights + (static_cast<int64_t>(work.row_tile * 2 + b) * a.chunks + chunk) * BlockBytes;
            UNROLL for (int i = 0; i < BlockBytes; i += Threads * 16)
                copy_async_16_once(stage + b * BlockBytes + i + at, from + i + at, policy);
        }
        return;
    }
    if constexpr (!E::Quantized) {
        copy_rows<T::Tokens, Threads / 8>(a, work.token_tile * T::Tokens, chunk, stage + T::WeightBytes, thread_index());
        return;
    }
    const int first = work.token_tile * T::Tokens, bytes = (a.padded_tokens - first) * ChunkBytes;
    const global_ptr<const uint8_t> from = a.x + (static_cast<int64_t>(chunk) * a.padded_tokens + first) * ChunkBytes;
    UNROLL for (int i = 0; i < T::Tokens * ChunkBytes; i += Threads * 16)
        if (T::Tokens * ChunkBytes >= Threads * 16 || at < T::Tokens * ChunkBytes)
            copy_async_16(stage + T::WeightBytes + i + at, from + (i + at < bytes ? i + at : 0), i + at < bytes ? 16 : 0);
}

// 64 bytes of K. The tensor cores cut low bits off FP8 sums at each instruction, so those are added to sums of ours in F32.
template <class E> DEVICE void multiply_64(typename E::Sum* sum, const uint32_t (&weights)[2][4], const uint32_t* x)
{
    if constexpr (E::Quantized && !E::Exact) {
        typename E::Sum part[4] = {};
        UNROLL for (int k = 0; k < 2; ++k)
            E::multiply(part, weights[k], x + 2 * k);
        UNROLL for (int e = 0; e < 4; ++e)
            sum[e] += part[e];
    } else {
        UNROLL for (int k = 0; k < 2; ++k)
            E::multiply(sum, weights[k], x + 2 * k);
    }
}

// A warp's products with a chunk, 64 bytes of K at a time.
template <class E, class T> DEVICE void multiply_chunk(typename E::Sum (&sum)[T::Sums], uint32_t stage)
{
    const int lane = lane_index(), rows = warp_index() / T::WarpsAcross * T::RowTiles * 16;
    const int tokens = warp_index() % T::WarpsAcross * T::TokenTiles * 8;
    UNROLL for (int step = 0; step < 2; ++step) {
        uint32_t weights[T::RowTiles][2][4];
        UNROLL for (int r = 0; r < T::RowTiles; ++r)
            UNROLL for (int k = 0; k < 2; ++k)
                load_matrix_x4(weights[r][k], stage + part_at(rows + r * 16 + (lane & 15), step * 4 + k * 2 + (lane >> 4)));
        UNROLL for (int t = 0; t < T::TokenTiles; ++t) {
            uint32_t x[4];
            load_matrix_x4(x, stage + T::WeightBytes + part_at(tokens + t * 8 + (lane & 7), step * 4 + (lane >> 3)));
            UNROLL for (int r = 0; r < T::RowTiles; ++r)
                multiply_64<E>(sum + (r * T::TokenTiles + t) * 4, weights[r], x);
        }
    }
}

// Sums the work's splits, in order, into total.
template <class E, class T> DEVICE void sum_splits(const TiledMatMulArguments& a, const TileWork& work, typename E::Sum (&total)[T::Sums])
{
    const int first = split_begin(a, work.first_split), last = split_begin(a, work.end_split);
    const uint64_t policy = evict_first_policy();
    UNROLL for (int s = 0; s < T::Stages - 1; ++s)
        if (first + s < last)
            copy_chunk<E, T>(a, work, first + s, shared_base() + s * T::StageBytes, policy, true);
    dependency_wait(); // the weights were there before
    UNROLL for (int s = 0; s < T::Stages - 1; ++s) {
        if (first + s < last)
            copy_chunk<E, T>(a, work, first + s, shared_base() + s * T::StageBytes, policy, false);
        copy_async_commit();
    }
    typename E::Sum sum[T::Sums] = {};
    int split = work.first_split, end = split_begin(a, split + 1), reading = 0, writing = T::Stages - 1;
    NO_UNROLL for (int chunk = first; chunk < last; ++chunk) {
        copy_async_wait<T::Stages - 2>();
        barrier();
        if (chunk + T::Stages - 1 < last) {
            copy_chunk<E, T>(a, work, chunk + T::Stages - 1, shared_base() + writing * T::StageBytes, policy, true);
            copy_chunk<E, T>(a, work, chunk + T::Stages - 1, shared_base() + writing * T::StageBytes, policy, false);
        }
        copy_async_commit();
        multiply_chunk<E, T>(sum, shared_base() + reading * T::StageBytes);
        reading = reading + 1 == T::Stages ? 0 : reading + 1;
        writing = writing + 1 == T::Stages ? 0 : writing + 1;
        if (chunk + 1 == (E::Exact ? last : end)) {
            UNROLL for (int i = 0; i < T::Sums; ++i) {
                total[i] = E::Exact || split == work.first_split ? sum[i] : total[i] + sum[i];
                sum[i] = 0;
            }
            end = split_begin(a, ++split + 1);
        }
    }
    copy_async_wait<0>();
}

// Turns the tile in shared memory, so that a warp writes 128 rows (64 where gated) of a token at a time.
template <class E, class T> DEVICE void write_tile(const TiledMatMulArguments& a, const TileWork& work, const typename E::Sum (&sum)[T::Sums])
{
    using G = Gate<E::Quantized>;
    const int lane = lane_index(), rows = warp_index() / T::WarpsAcross * T::RowTiles * 16, row = rows + (lane >> 2);
    const int own = warp_index() % T::WarpsAcross * T::TokenTiles * 8;
    const int out_rows = a.gated ? TileRows / 2 : TileRows, out_row = work.row_tile * out_rows + 4 * lane;
    shared_ptr<float> turned = shared_at<float>(shared_base());
    for (int slice = 0; slice < T::Tokens; slice += T::SliceTokens) {
        const int first = work.token_tile * T::Tokens + slice, left = a.tokens - first;
        const int own_token = own % T::SliceTokens + 2 * (lane & 3);
        barrier();
        if (own / T::SliceTokens == slice / T::SliceTokens)
            UNROLL for (int r = 0; r < T::RowTiles; ++r) {
                if (a.gated) {
                    const G gate = G::of(a, work.row_tile * TileRows + row + r * 16);
                    UNROLL for (int t = 0; t < T::TokenTiles; ++t)
                        UNROLL for (int e = 0; e < 2; ++e) {
                            const int token = own_token + t * 8 + e, at = (r * T::TokenTiles + t) * 4 + e;
                            store(turned + token * T::SliceStride + rows / 2 + r * 8 + (lane >> 2),
                                  G::apply(a, gate, first + token, sum_to_float(sum[at]), sum_to_float(sum[at + 2])));
                        }
                } else {
                    UNROLL for (int t = 0; t < T::TokenTiles; ++t)
                        UNROLL for (int e = 0; e < 4; ++e)
                            store(turned + (own_token + t * 8 + (e & 1)) * T::SliceStride + row + r * 16 + 8 * (e >> 1),
                                  sum_to_float(sum[(r * T::TokenTiles + t) * 4 + e]));
                }
            }
        barrier();
        if (4 * lane < out_rows && out_row < a.rows)
            for (int token = warp_index(); token < T::SliceTokens && token < left; token += Threads / 32)
                write_four(a, first + token, out_row, load(cast<const float4>(turned + token * T::SliceStride) + lane));
    }
}

template <class E, int Tokens> DEVICE void tiled_matmul(const TiledMatMulArguments& a)
{
    using T = MmaTile<Tokens>;
    const TileWork work = TileWork::of(a, block_x());
    typename E::Sum total[T::Sums];
    sum_splits<E, T>(a, work, total);
    launch_dependents();
    if (a.apart == 1 || reduce_splits<Threads>(a, work.row_tile * a.token_tiles + work.token_tile, work.first_split, total, thread_index(), 1, shared_base()))
        write_tile<E, T>(a, work, total);
}

struct S8 {
    using Sum = int;
    static constexpr bool Exact = true, Quantized = true;
    DEVICE void multiply(Sum* sum, const uint32_t* a, const uint32_t* b) { mma_s8(sum, a, b); }
};
struct BFloat16 {
    using Sum = float;
    static constexpr bool Exact = false, Quantized = false;
    DEVICE void multiply(Sum* sum, const uint32_t* a, const uint32_t* b) { mma_bf16(sum, a, b); }
};
#if __CUDA_ARCH__ >= 890
struct E4m3 {
    using Sum = float;
    static constexpr bool Exact = false, Quantized = true;
    DEVICE void multiply(Sum* sum, const uint32_t* a, const uint32_t* b) { mma_e4m3(sum, a, b); }
};
#endif

#define TILED_MATMUL(name, Element, Tokens, ctas)                                                                               \
    KERNEL(matmul_##name##_t##Tokens, Threads, ctas, (const TiledMatMulArguments arguments)) { tiled_matmul<Element, Tokens>(arguments); }
