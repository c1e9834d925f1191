// out[token][row] = row_scale[row] * x_scale[token] * sum over k of weight[row][k] * x[token][k] (+ bias[row]) (+ residual[token][row]),
// where weights and activations have the same type (INT8, FP8 or BF16; BF16 has no scales). What the mma.sync kernels
// (tiled_matmul_mma.cuh, sm_80 and sm_89) and the wgmma kernels (tiled_matmul_wgmma.cuh, sm_90a) share.
//
// Shared memory holds both operands in pieces of 128 bytes of K ("chunks"), a row of 128 bytes after the other, the sixteen-byte
// parts of row r permuted by r & 7: ldmatrix reads them without bank conflicts, wgmma through a 128-byte-swizzle descriptor. In
// global memory weights and 8-bit activations lie so too, and a tile of either is one contiguous piece.
//   weights: [block of 64 rows][chunk][row: 64][128 bytes], packed at load; rows padded with zeros to a multiple of 128.
//   x:       [chunk][token, padded to a multiple of 8][128 bytes], written so by quantize_rows, rms_norm and gated_activation;
//            columns padded with zeros, padding tokens hold anything. BF16: rows as every kernel writes them, which the copies
//            permute: the layout would cost a launch a product, or a pass over x of 3 to 4 % of a product with 2048 tokens.
//
// Where gates and ups are interleaved (gated), a thread has a gate and its up in neighbouring pairs of sums, and writes
// silu(gate) * up, rounded once: a block of 64 rows gives 32.
//
// K is cut into `splits` runs of chunks, as in matmul.cuh: a row's bits depend neither on the number of tokens nor on the variant.
// INT8 sums are exact, so every order gives them, and both families give the same bits.
#pragma once
#include "device.cuh"
#include "vectors.cuh"

static constexpr int BlockRows = 64, ChunkBytes = 128, BlockBytes = BlockRows * ChunkBytes;

struct TiledMatMulArguments {
    global_ptr<const uint8_t> weights, x;
    global_ptr<const float> row_scales, x_scales; // [packed rows of all blocks], [tokens]; or null
    global_ptr<const float> bias;                 // [rows], or null
    global_ptr<const float> residual;             // [tokens][rows], rows residual_stride elements apart, or null
    global_ptr<uint8_t> out;                      // [tokens][rows] F32 or BF16, rows out_stride elements apart; may be the residual
    global_ptr<uint32_t> partial;                 // sums of splits that have CTAs of their own: words of the sums' type
    global_ptr<uint32_t> tickets;                 // [row tile][token tile], zero before and after; likewise
    int32_t residual_stride, out_stride;
    int32_t x_stride, columns;                    // where x lies as rows: elements between them, a multiple of 8, and their width
    int32_t tokens, padded_tokens, rows, chunks, splits;
    int32_t apart;                                // splits that have CTAs of their own: `splits`, or 1 where a CTA does all
    int32_t row_tiles, token_tiles, tiles_across;
    int32_t out_f32, vectors;                     // vectors: scales, bias, residual and out allow accesses of four elements
    int32_t gated;                                // of sixteen packed rows, eight are gates and eight their ups; rows: of out
};

// One CTA's piece of work: token tiles are innermost, `tiles_across` of them at a time, so that CTAs that run together share weights
// and activations in the L2 cache.
struct TileWork {
    int row_tile, token_tile, first_split, end_split;
    DEVICE TileWork of(const TiledMatMulArguments& a, int item)
    {
        const int group_items = a.tiles_across * a.row_tiles * a.apart, group = item / group_items, first = group * a.tiles_across;
        const int across = a.token_tiles - first < a.tiles_across ? a.token_tiles - first : a.tiles_across;
        int rest = item - group * group_items;
        const int token_tile = first + rest % across;
        rest /= across;
        const int split = rest % a.apart;
        return {rest / a.apart, token_tile, split, a.apart == 1 ? a.splits : split + 1};
    }
    DEVICE int items(const TiledMatMulArguments& a) { return a.row_tiles * a.token_tiles * a.apart; }
};

DEVICE int split_begin(const TiledMatMulArguments& a, int split) { return a.chunks * split / a.splits; }

DEVICE float sum_to_float(float sum) { return sum; }
DEVICE float sum_to_float(int sum) { return static_cast<float>(sum); }
// F32 sums move as F32: as integers, ptxas would wait for every product of wgmma before it begins the next.
DEVICE void store_sums(global_ptr<uint4> to, const float* sum) { store(cast<float4>(to), float4{sum[0], sum[1], sum[2], sum[3]}); }
DEVICE void store_sums(global_ptr<uint4> to, const int* sum)
{
    store(to, uint4{static_cast<uint32_t>(sum[0]), static_cast<uint32_t>(sum[1]), static_cast<uint32_t>(sum[2]), static_cast<uint32_t>(sum[3])});
}
DEVICE void sum_of(float word, float& sum) { sum = word; }
DEVICE void sum_of(float word, int& sum) { sum = static_cast<int>(float_bits(word)); }

// Hands a split's sums over, one word a thread and register, by `Threads` threads that share the named barrier and `ticket_at`.
// True in all of them when theirs came last; the sums are then those of all splits, added in order.
template <int Threads, class Sum, int Count>
DEVICE bool reduce_splits(const TiledMatMulArguments& a, int tile, int split, Sum (&sum)[Count], int thread, int barrier_id, uint32_t ticket_at)
{
    static_assert(Count % 4 == 0, "sums move four at a time");
    global_ptr<uint4> partial = cast<uint4>(a.partial) + static_cast<int64_t>(tile) * a.splits * (Count / 4) * Threads + thread;
    UNROLL for (int i = 0; i < Count / 4; ++i)
        store_sums(partial + (split * (Count / 4) + i) * Threads, sum + 4 * i);
    fence_device();
    barrier(barrier_id, Threads);
    shared_ptr<uint32_t> ticket = shared_at<uint32_t>(ticket_at);
    if (thread == 0)
        store(ticket, add_acquire_release(a.tickets + tile, 1));
    barrier(barrier_id, Threads);
    if (load(ticket) != static_cast<uint32_t>(a.splits - 1))
        return false;
    NO_UNROLL for (int s = 0; s < a.splits; ++s)
        UNROLL for (int i = 0; i < Count / 4; ++i) {
            const float4 next = load_shared_by_ctas(cast<const float4>(partial + (s * (Count / 4) + i) * Threads));
            const float word[4] = {next.x, next.y, next.z, next.w};
            UNROLL for (int e = 0; e < 4; ++e) {
                Sum value;
                sum_of(word[e], value);
                sum[4 * i + e] = s == 0 ? value : sum[4 * i + e] + value;
            }
        }
    if (thread == 0)
        store(a.tickets + tile, 0u);
    return true;
}

// Where rows of activations are copied from and to: each of `Apart * 8` threads takes part `thread % 8` of every Apart-th token of a
// tile. What no token and no column fills becomes zero.
template <int Tokens, int Apart> DEVICE void copy_rows(const TiledMatMulArguments& a, int first_token, int chunk, uint32_t to, int thread)
{
    static_assert(Apart % 8 == 0 || Apart == 4, "the permutation of a thread's parts is known");
    const int part = thread % 8, row = thread / 8, column = chunk * (ChunkBytes / 2) + part * 8, token = first_token + row;
    const int left = (a.columns - column) * 2, bytes = left < 0 ? 0 : left < 16 ? left : 16;
    const global_ptr<const bf16> from = cast<const bf16>(a.x) + static_cast<int64_t>(token) * a.x_stride + column;
    const uint32_t place = to + static_cast<uint32_t>(row * ChunkBytes + ((part ^ (row & 7)) << 4));
    UNROLL for (int i = 0; i < Tokens; i += Apart)
        if (Apart <= Tokens || row < Tokens)
            copy_async_16((place ^ static_cast<uint32_t>((i & 7) << 4)) + i * ChunkBytes, from + static_cast<int64_t>(i) * a.x_stride, token + i < a.tokens ? bytes : 0);
}

// silu(gate) * up of a thread's sums, which are scaled first. A gate's packed row is given, its up is eight further on.
template <bool Quantized> struct Gate {
    float gate_scale, up_scale;
    DEVICE Gate of(const TiledMatMulArguments& a, int row)
    {
        return Quantized && a.gated ? Gate{load(a.row_scales + row), load(a.row_scales + row + 8)} : Gate{};
    }
    DEVICE float apply(const TiledMatMulArguments& a, const Gate& scales, int token, float gate, float up)
    {
        if constexpr (Quantized) {
            const float x_scale = token < a.tokens ? load(a.x_scales + token) : 0.0f;
            gate = product(product(gate, scales.gate_scale), x_scale);
            up = product(product(up, scales.up_scale), x_scale);
        }
        return silu(gate) * up;
    }
};

// One element of four, or what stands for a missing vector.
DEVICE float4 four_or(global_ptr<const float> values, int64_t at, float missing)
{
    return values != nullptr ? load(cast<const float4>(values + at)) : float4{missing, missing, missing, missing};
}

// ((sum * row_scale) * x_scale + bias) + residual for four neighbouring rows of a token, rounded once more where the output is BF16;
// what Gate made has its scales.
DEVICE void write_four(const TiledMatMulArguments& a, int token, int row, float4 sum)
{
    const int64_t at = static_cast<int64_t>(token) * a.out_stride + row, residual_at = static_cast<int64_t>(token) * a.residual_stride + row;
    const global_ptr<const float> row_scales = a.gated ? nullptr : a.row_scales;
    const float x_scale = row_scales != nullptr ? load(a.x_scales + token) : 1.0f;
    if (a.vectors) {
        const float4 scale = four_or(row_scales, row, 1.0f), bias = four_or(a.bias, row, 0.0f), residual = four_or(a.residual, residual_at, 0.0f);
        const float4 v = {product(product(sum.x, scale.x), x_scale) + bias.x + residual.x, product(product(sum.y, scale.y), x_scale) + bias.y + residual.y,
                          product(product(sum.z, scale.z), x_scale) + bias.z + residual.z, product(product(sum.w, scale.w), x_scale) + bias.w + residual.w};
        if (a.out_f32)
            store(cast<float4>(cast<float>(a.out) + at), v);
        else
            store(cast<uint2>(cast<bf16>(a.out) + at), uint2{pack_bf16(v.x, v.y), pack_bf16(v.z, v.w)});
        return;
    }
    const float value[4] = {sum.x, sum.y, sum.z, sum.w};
    UNROLL for (int e = 0; e < 4; ++e)
        if (row + e < a.rows) {
            float v = product(product(value[e], row_scales != nullptr ? load(row_scales + row + e) : 1.0f), x_scale);
            v += a.bias != nullptr ? load(a.bias + row + e) : 0.0f;
            v += a.residual != nullptr ? load(a.residual + residual_at + e) : 0.0f;
            if (a.out_f32)
                store(cast<float>(a.out) + at + e, v);
            else
                store(cast<bf16>(a.out) + at + e, to_bf16(v));
        }
}
