// The walk over a step's tiles and units of paged attention; paged_attention.cu explains the work and its order.
#pragma once
#include "attention.cuh"

// Values / sum of the rows.
template <class Kv, int HeadDim> DEVICE void write_out(const AttentionArguments& a, const Rows& rows, const State<HeadDim>& state)
{
    UNROLL for (int half = 0; half < 2; ++half) {
        const int local = (lane_index() >> 2) + 8 * half, row = rows.first + local;
        if (local < rows.count)
            Kv::write_row(state, half, a.out + static_cast<int64_t>(rows.token + row / a.group) * a.out_stride
                + (rows.kv_head * a.group + row % a.group) * HeadDim, 1.0f / state.sum[half]);
    }
}

template <class Kv, int HeadDim>
DEVICE void write_partial(const AttentionArguments& a, const Rows& rows, const State<HeadDim>& state, int base, int chunk)
{
    UNROLL for (int half = 0; half < 2; ++half) {
        const int local = (lane_index() >> 2) + 8 * half;
        if (local < rows.count) {
            const int64_t row = partial_row(a, rows, base, chunk, local);
            if ((lane_index() & 3) == 0)
                store(a.partial_state + row, float2{state.maximum[half], state.sum[half]});
            Kv::write_row(state, half, a.partial + row * HeadDim);
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
template <class Kv, int HeadDim> struct Ring {
    uint32_t base;
    int first_piece;         // of the first tile
    Place places;            // of the chunk's pieces
    int next, count;         // pieces sent, pieces in all
};

template <class Kv, int HeadDim> DEVICE void send_piece(const AttentionArguments& a, const Rows& rows, Ring<Kv, HeadDim>& ring)
{
    using L = Layout<Kv, HeadDim>;
    if (ring.next < ring.count) {
        const int tile = ring.next / (2 * L::Pieces), within = ring.next % (2 * L::Pieces);
        const int piece = ring.first_piece + tile * L::Pieces + within % L::Pieces;
        const Place at = shuffle(ring.places, piece % (ChunkTokens / PieceTokens));
        const uint32_t slot = ring.base + ring.next % L::Slots * L::PieceBytes;
        if (L::ScaleBytes > 0 && within < L::Pieces)
            load_scales<Kv, HeadDim>(a, rows, ring.base + L::RingScales + (piece / L::Pieces & 1) * L::ScaleBytes, at, piece);
        load_piece<Kv, HeadDim>(a, rows, slot, within < L::Pieces ? a.keys : a.values, at, piece);
    }
    copy_async_commit();
    ++ring.next;
}

// Waits for the next piece, lets a further one take the place of the one before, and returns its address.
template <class Kv, int HeadDim> DEVICE uint32_t receive_piece(const AttentionArguments& a, const Rows& rows, Ring<Kv, HeadDim>& ring)
{
    using L = Layout<Kv, HeadDim>;
    copy_async_wait<L::Slots - 2>();
    warp_barrier();
    const uint32_t address = ring.base + (ring.next + 1) % L::Slots * L::PieceBytes;
    send_piece(a, rows, ring);
    return address;
}

template <class Kv, int HeadDim> DEVICE void split_unit(const AttentionArguments& a, const Rows& rows, int chunk, State<HeadDim>& state)
{
    using L = Layout<Kv, HeadDim>;
    const int begin = larger(rows.begin, chunk * ChunkTokens), end = smaller(rows.end, (chunk + 1) * ChunkTokens);
    const int first_tile = begin / L::TileTokens, last_tile = (end - 1) / L::TileTokens;
    Ring<Kv, HeadDim> ring;
    ring.base = shared_base() + warp_index() * L::RingBytes;
    ring.first_piece = first_tile * L::Pieces;
    ring.next = 0;
    ring.count = (last_tile - first_tile + 1) * 2 * L::Pieces;
    ring.places = places_of(a, rows, chunk * (ChunkTokens / PieceTokens));
    load_queries<HeadDim>(a, rows, ring.base + L::RingQueries);
    copy_async_commit();
    UNROLL for (int i = 0; i < L::Slots - 1; ++i)
        send_piece(a, rows, ring);
    clear(state);
    copy_async_wait<L::Slots - 1>();
    warp_barrier();
    Queries<HeadDim> queries;
    Kv::prepare(queries, ring.base + L::RingQueries, a.scale_log2);
    NO_UNROLL for (int tile = first_tile; tile <= last_tile; ++tile) {
        const uint32_t scales = ring.base + L::RingScales + (tile & 1) * L::ScaleBytes;
        float scores[L::TileTokens / 8][4] = {};
        UNROLL for (int piece = 0; piece < L::Pieces; ++piece)
            Kv::score_piece(scores + 2 * piece, queries, receive_piece(a, rows, ring), scales + piece * PieceTokens * 4);
        mask(scores, a, rows, tile * L::TileTokens);
        Kv::softmax_step(state, scores, queries, scales + L::TileTokens * 4);
        UNROLL for (int piece = 0; piece < L::Pieces; ++piece)
            Kv::add_piece(state, scores + 2 * piece, receive_piece(a, rows, ring));
    }
    Kv::close_sums(state);
    copy_async_wait<0>();
    warp_barrier();
}

template <class Kv, int HeadDim> DEVICE void split_tiles(const AttentionArguments& a)
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
        split_unit<Kv>(a, rows, rows.begin / ChunkTokens + chunk, state);
        if (entry.w < 0)
            write_out<Kv>(a, rows, state);
        else
            write_partial<Kv>(a, rows, state, entry.w, chunk);
    }
}

// A warp's total of the chunks before the current one: HeadDim/8 times four values, then maxima and sums, a float4 of each lane in turn.
template <class Kv, int HeadDim> DEVICE auto total_of(const AttentionArguments& a)
{
    using L = Layout<Kv, HeadDim>;
    if constexpr (L::Large)
        return cast<float4>(a.scratch) + static_cast<int64_t>(block_x() * Warps + warp_index()) * L::TotalVectors + lane_index();
    else
        return shared_at<float4>(shared_base() + L::WarpPlaces + warp_index() * L::WarpPlaceBytes) + lane_index();
}

// Folds the chunk into the total, which is empty before the first; after the last the result is in `state`, else in the total.
template <class Kv, int HeadDim> DEVICE void close_chunk(const AttentionArguments& a, State<HeadDim>& state, bool first, bool last)
{
    Kv::close_sums(state);
    auto at = total_of<Kv, HeadDim>(a);
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
template <class Kv, int HeadDim> DEVICE void load_stage(const AttentionArguments& a, const Rows& rows, int tile, Place& places)
{
    using L = Layout<Kv, HeadDim>;
    const int first_piece = tile * L::Pieces;
    if (first_piece % 32 == 0)
        places = places_of(a, rows, first_piece);
    const uint32_t stage = shared_base() + (tile & 1) * L::StageBytes;
    UNROLL for (int i = 0; i < 2 * L::Pieces / Warps; ++i) {
        const int within = i * Warps + warp_index(), piece = first_piece + within % L::Pieces;
        const Place at = shuffle(places, piece % 32);
        load_piece<Kv, HeadDim>(a, rows, stage + within * L::PieceBytes, within < L::Pieces ? a.keys : a.values, at, piece);
        if (L::ScaleBytes > 0 && within < L::Pieces)
            load_scales<Kv, HeadDim>(a, rows, shared_base() + L::StageScales + (tile & 1) * L::ScaleBytes, at, piece);
    }
}

template <class Kv, int HeadDim> DEVICE void whole_tile(const AttentionArguments& a, const Rows& all)
{
    using L = Layout<Kv, HeadDim>;
    const bool works = warp_index() * WarpRows < all.count;
    const Rows rows = rows_of(a, all.sequence, all.kv_head, all.first + (works ? warp_index() * WarpRows : 0), WarpRows);
    const int first_tile = all.begin / L::TileTokens, last_tile = (all.end - 1) / L::TileTokens;
    const uint32_t own = shared_base() + L::WarpPlaces + warp_index() * L::WarpPlaceBytes;
    Place places = places_of(a, all, first_tile * L::Pieces / 32 * 32);
    load_queries<HeadDim>(a, rows, own);
    load_stage<Kv, HeadDim>(a, all, first_tile, places);
    copy_async_commit();
    State<HeadDim> state;
    clear(state);
    copy_async_wait<0>();
    warp_barrier();
    Queries<HeadDim> queries;
    Kv::prepare(queries, own, a.scale_log2);
    NO_UNROLL for (int tile = first_tile; tile <= last_tile; ++tile) {
        copy_async_wait<0>();
        barrier();
        if (tile < last_tile)
            load_stage<Kv, HeadDim>(a, all, tile + 1, places);
        copy_async_commit();
        const int first = tile * L::TileTokens;
        if (works && first < rows.end && first + L::TileTokens > rows.begin) {
            const uint32_t stage = shared_base() + (tile & 1) * L::StageBytes;
            const uint32_t scales = shared_base() + L::StageScales + (tile & 1) * L::ScaleBytes;
            float scores[L::TileTokens / 8][4] = {};
            UNROLL for (int piece = 0; piece < L::Pieces; ++piece)
                Kv::score_piece(scores + 2 * piece, queries, stage + piece * L::PieceBytes, scales + piece * PieceTokens * 4);
            mask(scores, a, rows, first);
            Kv::softmax_step(state, scores, queries, scales + L::TileTokens * 4);
            UNROLL for (int piece = 0; piece < L::Pieces; ++piece)
                Kv::add_piece(state, scores + 2 * piece, stage + (L::Pieces + piece) * L::PieceBytes);
        }
        constexpr int ChunkTiles = ChunkTokens / L::TileTokens;
        if (tile == last_tile || tile % ChunkTiles == ChunkTiles - 1) {
            close_chunk<Kv>(a, state, tile / ChunkTiles == first_tile / ChunkTiles, tile == last_tile);
            if (tile < last_tile)
                clear(state);
        }
    }
    if (works)
        write_out<Kv>(a, rows, state);
    barrier();
}

template <class Kv, int HeadDim> DEVICE void paged_attention(const AttentionArguments& a)
{
    dependency_wait();
    NO_UNROLL for (int index = block_x(); index < load(a.plan).x * a.kv_heads; index += grid_x()) {
        const int4 entry = load(a.plan + 1 + index / a.kv_heads);
        whole_tile<Kv, HeadDim>(a, rows_of(a, entry.x, index % a.kv_heads, entry.y, WholeRows));
    }
    split_tiles<Kv, HeadDim>(a);
    launch_dependents();
}
