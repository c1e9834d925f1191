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
// Work. The host's plan (AttentionPlanner.cs) has whole tiles, up to 64 rows whose CTA walks all chunks while its warps share
// the tiles in shared memory, and split tiles, up to 16 rows whose chunks are units of single warps, each with its own ring of
// 16-token pieces. The chunks' states meet in `partial`, where combine folds them. A split tile of one chunk needs no combine.
//   plan: {whole tiles, split tiles, split units, 0}, then whole tiles as {sequence, first row, 0, 0}, then split tiles as
//         {sequence, first row, first unit (prefix sum of chunks), first row in partial or -1}
//
// Of the cache only positions that a row of the tile sees are read, so freed blocks before a window, unused slots and the table's
// tail may hold anything.
#include "attention.cuh"

// Values / sum of the rows, rounded. Adding zero is what a fold does, so that even a negative zero comes out alike.
template <int HeadDim> DEVICE void write_out(const AttentionArguments& a, const Rows& rows, const State<HeadDim>& state)
{
    UNROLL for (int half = 0; half < 2; ++half) {
        const int local = (lane_index() >> 2) + 8 * half, row = rows.first + local;
        if (local < rows.count) {
            const float inverse = 1.0f / state.sum[half];
            global_ptr<bf16> to = a.out + static_cast<int64_t>(rows.token + row / a.group) * a.out_stride
                + (rows.kv_head * a.group + row % a.group) * HeadDim + 2 * (lane_index() & 3);
            UNROLL for (int n = 0; n < HeadDim / 8; ++n) {
                const float low = state.values[n][2 * half] + 0.0f, high = state.values[n][2 * half + 1] + 0.0f;
                store(cast<uint32_t>(to + 8 * n), pack_bf16(low * inverse, high * inverse));
            }
        }
    }
}

// Where row `local` of a tile's chunk lies, in rows of partial times KV heads.
DEVICE int64_t partial_row(const AttentionArguments& a, const Rows& rows, int base, int chunk, int local)
{
    return (static_cast<int64_t>(base) + chunk * rows.count + local) * a.kv_heads + rows.kv_head;
}

template <int HeadDim>
DEVICE void write_partial(const AttentionArguments& a, const Rows& rows, const State<HeadDim>& state, int base, int chunk)
{
    UNROLL for (int half = 0; half < 2; ++half) {
        const int local = (lane_index() >> 2) + 8 * half;
        if (local < rows.count) {
            const int64_t row = partial_row(a, rows, base, chunk, local);
            if ((lane_index() & 3) == 0)
                store(a.partial_state + row, float2{state.maximum[half], state.sum[half]});
            global_ptr<float> to = a.partial + row * HeadDim + 2 * (lane_index() & 3);
            UNROLL for (int n = 0; n < HeadDim / 8; ++n)
                store(cast<float2>(to + 8 * n), float2{state.values[n][2 * half], state.values[n][2 * half + 1]});
        }
    }
}

// The split tile that unit `unit` belongs to: 32 probes at a time.
DEVICE int find_tile(global_ptr<const int4> tiles, int count, int unit)
{
    int low = 0;
    while (count > 1) {
        const int step = (count + 31) / 32, probe = lane_index() * step;
        const bool begun = probe < count && load(cast<const int>(tiles + low + probe) + 2) <= unit;
        const int last = warp_add(begun ? 1 : 0) - 1;
        low += last * step;
        count = smaller(step, count - last * step);
    }
    return low;
}

// A warp's pieces of one chunk: each tile's keys, then its values, through a ring of slots.
template <int HeadDim> struct Ring {
    uint32_t base;
    int first_piece, blocks; // piece of the first tile; blocks_of the chunk
    int next, count;         // pieces sent, pieces in all
};

template <int HeadDim> DEVICE void send_piece(const AttentionArguments& a, const Rows& rows, Ring<HeadDim>& ring)
{
    using L = Layout<HeadDim>;
    if (ring.next < ring.count) {
        const int tile = ring.next / (2 * L::Pieces), within = ring.next % (2 * L::Pieces);
        const int piece = ring.first_piece + tile * L::Pieces + within % L::Pieces;
        const int block = shuffle(ring.blocks, piece % (ChunkTokens / PieceTokens));
        const uint32_t slot = ring.base + ring.next % L::Slots * L::PieceBytes;
        load_piece<HeadDim>(a, rows, slot, within < L::Pieces ? a.keys : a.values, block, piece);
    }
    copy_async_commit();
    ++ring.next;
}

// Waits for the next piece, lets a further one take the place of the one before, and returns its address.
template <int HeadDim> DEVICE uint32_t receive_piece(const AttentionArguments& a, const Rows& rows, Ring<HeadDim>& ring)
{
    using L = Layout<HeadDim>;
    copy_async_wait<L::Slots - 2>();
    warp_barrier();
    const uint32_t address = ring.base + (ring.next + 1) % L::Slots * L::PieceBytes;
    send_piece(a, rows, ring);
    return address;
}

template <int HeadDim> DEVICE void split_unit(const AttentionArguments& a, const Rows& rows, int chunk, State<HeadDim>& state)
{
    using L = Layout<HeadDim>;
    const int begin = larger(rows.begin, chunk * ChunkTokens), end = smaller(rows.end, (chunk + 1) * ChunkTokens);
    const int first_tile = begin / L::TileTokens, last_tile = (end - 1) / L::TileTokens;
    Ring<HeadDim> ring;
    ring.base = shared_base() + warp_index() * L::RingBytes;
    ring.first_piece = first_tile * L::Pieces;
    ring.next = 0;
    ring.count = (last_tile - first_tile + 1) * 2 * L::Pieces;
    ring.blocks = blocks_of(a, rows, chunk * (ChunkTokens / PieceTokens));
    load_queries<HeadDim>(a, rows, ring.base + L::RingQueries);
    copy_async_commit();
    UNROLL for (int i = 0; i < L::Slots - 1; ++i)
        send_piece(a, rows, ring);
    const Sight sight = sight_of(a, rows);
    clear(state);
    copy_async_wait<L::Slots - 1>();
    warp_barrier();
    Queries<HeadDim> queries;
    hold_queries(queries, ring.base + L::RingQueries);
    NO_UNROLL for (int tile = first_tile; tile <= last_tile; ++tile) {
        float scores[L::TileTokens / 8][4] = {};
        UNROLL for (int piece = 0; piece < L::Pieces; ++piece)
            score_piece(scores + 2 * piece, queries, receive_piece(a, rows, ring));
        mask(scores, a, rows, sight, tile * L::TileTokens);
        softmax_step(state, scores, a.scale_log2);
        UNROLL for (int piece = 0; piece < L::Pieces; ++piece)
            add_piece(state, scores + 2 * piece, receive_piece(a, rows, ring));
    }
    close_sums(state);
    copy_async_wait<0>();
    warp_barrier();
}

template <int HeadDim> DEVICE void split_tiles(const AttentionArguments& a)
{
    const int4 counts = load(a.plan);
    global_ptr<const int4> tiles = a.plan + 1 + counts.x;
    // Neighbouring CTAs take neighbouring heads of a chunk, and the last round is spread over all of them.
    NO_UNROLL for (int index = warp_index() * grid_x() + block_x(); index < counts.z * a.kv_heads; index += Warps * grid_x()) {
        const int unit = index / a.kv_heads, tile = find_tile(tiles, counts.y, unit);
        const int4 entry = load(tiles + tile);
        const Rows rows = rows_of(a, entry.x, index % a.kv_heads, entry.y, WarpRows);
        const int chunk = unit - entry.z;
        State<HeadDim> state;
        split_unit(a, rows, rows.begin / ChunkTokens + chunk, state);
        if (entry.w < 0)
            write_out(a, rows, state);
        else
            write_partial(a, rows, state, entry.w, chunk);
    }
}

// A warp's total of the chunks before the current one: HeadDim/8 times four values, then maxima and sums, a float4 of each lane in turn.
template <int HeadDim> DEVICE auto total_of(const AttentionArguments& a)
{
    using L = Layout<HeadDim>;
    if constexpr (L::Large)
        return cast<float4>(a.scratch) + static_cast<int64_t>(block_x() * Warps + warp_index()) * L::TotalVectors + lane_index();
    else
        return shared_at<float4>(shared_base() + L::WarpPlaces + warp_index() * L::WarpPlaceBytes) + lane_index();
}

// Folds the chunk into the total, which is empty before the first; after the last the result is in `state`, else in the total.
template <int HeadDim> DEVICE void close_chunk(const AttentionArguments& a, State<HeadDim>& state, bool first, bool last)
{
    close_sums(state);
    auto at = total_of<HeadDim>(a);
    float4 before = {minus_infinity(), minus_infinity(), 0.0f, 0.0f};
    if (!first)
        before = load(at + HeadDim / 8 * 32);
    const Fold f[2] = {fold_of(before.x, state.maximum[0]), fold_of(before.y, state.maximum[1])};
    state.sum[0] = fold(f[0], before.z, state.sum[0]);
    state.sum[1] = fold(f[1], before.w, state.sum[1]);
    if (!last)
        store(at + HeadDim / 8 * 32, float4{f[0].maximum, f[1].maximum, state.sum[0], state.sum[1]});
    UNROLL for (int n = 0; n < HeadDim / 8; ++n) {
        before = {0.0f, 0.0f, 0.0f, 0.0f};
        if (!first)
            before = load(at + n * 32);
        float (&v)[4] = state.values[n];
        v[0] = fold(f[0], before.x, v[0]);
        v[1] = fold(f[0], before.y, v[1]);
        v[2] = fold(f[1], before.z, v[2]);
        v[3] = fold(f[1], before.w, v[3]);
        if (!last)
            store(at + n * 32, float4{v[0], v[1], v[2], v[3]});
    }
}

// Sends a tile's keys and values on their way to a stage, the CTA's warps taking pieces in turn.
template <int HeadDim> DEVICE void load_stage(const AttentionArguments& a, const Rows& rows, int tile, int& blocks)
{
    using L = Layout<HeadDim>;
    const int first_piece = tile * L::Pieces;
    if (first_piece % 32 == 0)
        blocks = blocks_of(a, rows, first_piece);
    const uint32_t stage = shared_base() + (tile & 1) * L::StageBytes;
    UNROLL for (int i = 0; i < 2 * L::Pieces / Warps; ++i) {
        const int within = i * Warps + warp_index(), piece = first_piece + within % L::Pieces;
        const int block = shuffle(blocks, piece % 32);
        load_piece<HeadDim>(a, rows, stage + within * L::PieceBytes, within < L::Pieces ? a.keys : a.values, block, piece);
    }
}

template <int HeadDim> DEVICE void whole_tile(const AttentionArguments& a, const Rows& all)
{
    using L = Layout<HeadDim>;
    const bool works = warp_index() * WarpRows < all.count;
    const Rows rows = rows_of(a, all.sequence, all.kv_head, all.first + (works ? warp_index() * WarpRows : 0), WarpRows);
    const int first_tile = all.begin / L::TileTokens, last_tile = (all.end - 1) / L::TileTokens;
    const uint32_t own = shared_base() + L::WarpPlaces + warp_index() * L::WarpPlaceBytes;
    int blocks = blocks_of(a, all, first_tile * L::Pieces / 32 * 32);
    load_queries<HeadDim>(a, rows, own);
    load_stage<HeadDim>(a, all, first_tile, blocks);
    copy_async_commit();
    const Sight sight = sight_of(a, rows);
    State<HeadDim> state;
    clear(state);
    copy_async_wait<0>();
    warp_barrier();
    Queries<HeadDim> queries;
    hold_queries(queries, own);
    NO_UNROLL for (int tile = first_tile; tile <= last_tile; ++tile) {
        copy_async_wait<0>();
        barrier();
        if (tile < last_tile)
            load_stage<HeadDim>(a, all, tile + 1, blocks);
        copy_async_commit();
        const int first = tile * L::TileTokens;
        if (works && first < rows.end && first + L::TileTokens > rows.begin) {
            const uint32_t stage = shared_base() + (tile & 1) * L::StageBytes;
            float scores[L::TileTokens / 8][4] = {};
            UNROLL for (int piece = 0; piece < L::Pieces; ++piece)
                score_piece(scores + 2 * piece, queries, stage + piece * L::PieceBytes);
            mask(scores, a, rows, sight, first);
            softmax_step(state, scores, a.scale_log2);
            UNROLL for (int piece = 0; piece < L::Pieces; ++piece)
                add_piece(state, scores + 2 * piece, stage + (L::Pieces + piece) * L::PieceBytes);
        }
        constexpr int ChunkTiles = ChunkTokens / L::TileTokens;
        if (tile == last_tile || tile % ChunkTiles == ChunkTiles - 1) {
            close_chunk(a, state, tile / ChunkTiles == first_tile / ChunkTiles, tile == last_tile);
            if (tile < last_tile)
                clear(state);
        }
    }
    if (works)
        write_out(a, rows, state);
    barrier();
}

template <int HeadDim> DEVICE void paged_attention(const AttentionArguments& a)
{
    dependency_wait();
    NO_UNROLL for (int index = block_x(); index < load(a.plan).x * a.kv_heads; index += grid_x()) {
        const int4 entry = load(a.plan + 1 + index / a.kv_heads);
        whole_tile<HeadDim>(a, rows_of(a, entry.x, index % a.kv_heads, entry.y, WholeRows));
    }
    split_tiles<HeadDim>(a);
    launch_dependents();
}

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
    KERNEL(paged_attention_##head_dim, Threads, ctas, (const AttentionArguments arguments)) { paged_attention<head_dim>(arguments); } \
    KERNEL(combine_attention_##head_dim, Threads, 4, (const AttentionArguments arguments)) { combine<head_dim>(arguments); }
PAGED_ATTENTION(64, 3)
PAGED_ATTENTION(80, 2)
PAGED_ATTENTION(96, 2)
PAGED_ATTENTION(128, 2)
PAGED_ATTENTION(256, 2)
