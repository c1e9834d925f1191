// out[token][head] = softmax(scale * q . keys) . values: causal attention of packed query tokens over a paged cache in BF16, with or
// without a sliding window; decode, prefill and mixed batches in one launch.
// Floor: decode reads the keys and values that the queries see once, 4 * HeadDim bytes a token and KV head. Prefill does
// 4 * HeadDim multiply-adds' flops a query head and visible token on tensor cores; mma.sync reaches two thirds of wgmma's rate.
//
// Rows. The queries of the `group` heads that share a KV head fill the MMA's rows: row r of a sequence and KV head is query token
// r / group, head r % group. A warp computes 16 rows. Rows that a tile lacks repeat its last one and are not written.
//
// Order. The KV axis is cut at multiples of ChunkTokens of the position, a chunk at multiples of Layout::TileTokens. A row's chunk is
// one online softmax over its tiles in order, in one warp; its chunks are folded in order from the empty state. Tiles and chunks that
// a row does not see change no bit of its state. So a row's result depends on neither the plan nor its neighbours.
//
// Trees. A sequence's last tokens can be a tree of drafts: they lie in the cache in the order given, but each sees only those above it
// and itself. A path that lies there without a gap, such as the first one, gets the bits of a chain; for others, the products with
// values have zeros between those of a chain and are equal to rounding.
//
// Work. The host's plan (AttentionPlanner.cs) has whole tiles, up to 64 rows whose CTA walks all chunks while its warps share
// the tiles in shared memory, and split tiles, up to 16 rows whose chunks are units of single warps, each with its own ring of
// 16-token pieces. The chunks' states meet in `partial`, where combine folds them. A split tile of one chunk needs no combine.
//   plan: {whole tiles, split tiles, split units, 0}, then whole tiles as {sequence, first row, 0, 0}, then split tiles as
//         {sequence, first row, first unit (prefix sum of chunks), first row in partial or -1}
//
// Of the cache only positions that a row of the tile sees are read, so freed blocks before a window, unused slots and the table's
// tail may hold anything.
#include "attention_bf16.cuh"
#include "attention_work.cuh"

// Folds the chunks of split tiles: a warp a row.
template <int HeadDim> DEVICE void combine(const AttentionArguments& a)
{
    constexpr int Values = (HeadDim + 31) / 32, Ahead = 4; // values of a lane, chunks under way
    dependency_wait();
    const int4 counts = load(a.plan);
    NO_UNROLL for (int index = block_x() * Warps + warp_index(); index < counts.y * a.kv_heads * WarpRows; index += grid_x() * Warps) {
        const int local = index % WarpRows, kv_head = index / WarpRows % a.kv_heads;
        const int4 entry = load(a.plan + 1 + counts.x + index / WarpRows / a.kv_heads);
        const Rows rows = rows_of(a, entry.x, kv_head, entry.y, WarpRows);
        if (entry.w < 0 || local >= rows.count)
            continue;
        const int chunks = (rows.end - 1) / ChunkTokens - rows.begin / ChunkTokens + 1;
        float top = minus_infinity(), sum = 0.0f, total[Values] = {};
        NO_UNROLL for (int first = 0; first < chunks; first += Ahead) {
            float2 part[Ahead];
            float value[Ahead][Values];
            UNROLL for (int i = 0; i < Ahead; ++i) {
                const int64_t row = partial_row(a, rows, entry.w, smaller(first + i, chunks - 1), local);
                part[i] = load(a.partial_state + row);
                UNROLL for (int v = 0; v < Values; ++v)
                    value[i][v] = v * 32 + lane_index() < HeadDim ? load(a.partial + row * HeadDim + v * 32 + lane_index()) : 0.0f;
            }
            UNROLL for (int i = 0; i < Ahead; ++i)
                if (first + i < chunks) {
                    const Fold f = fold_of(top, part[i].x);
                    top = f.maximum;
                    sum = fold(f, sum, part[i].y);
                    UNROLL for (int v = 0; v < Values; ++v)
                        total[v] = fold(f, total[v], value[i][v]);
                }
        }
        const int row = rows.first + local;
        const float inverse = 1.0f / sum;
        global_ptr<bf16> to = a.out + static_cast<int64_t>(rows.token + row / a.group) * a.out_stride
            + (kv_head * a.group + row % a.group) * HeadDim + lane_index();
        UNROLL for (int v = 0; v < Values; ++v)
            if (v * 32 + lane_index() < HeadDim)
                store(to + v * 32, to_bf16(total[v] * inverse));
    }
    launch_dependents();
}

#define PAGED_ATTENTION(head_dim, ctas)                                                                                         \
    KERNEL(paged_attention_##head_dim, Threads, ctas, (const AttentionArguments arguments)) { paged_attention<Bf16Cache, head_dim>(arguments); } \
    KERNEL(combine_attention_##head_dim, Threads, 4, (const AttentionArguments arguments)) { combine<head_dim>(arguments); }
PAGED_ATTENTION(64, 3)
PAGED_ATTENTION(80, 2)
PAGED_ATTENTION(96, 2)
PAGED_ATTENTION(128, 2)
PAGED_ATTENTION(256, 2)
