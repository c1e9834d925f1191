// What all kernels of paged attention share, whatever the cache's element type: where rows and tokens lie, what rows see, and the fold
// of chunks. `Kv` is Bf16Cache of attention_bf16.cuh or an EightBitCache of attention_8bit.cuh, which do the arithmetic of a piece.
#pragma once
#include "device.cuh"

static constexpr int Threads = 128, Warps = Threads / 32, WarpRows = 16, WholeRows = Warps * WarpRows;
static constexpr int PieceTokens = 16, ChunkTokens = 256, MaxTreeTokens = 64;

// A token of a sequence that may end in a tree of drafts. Mirrors TreeToken.cs.
struct alignas(16) TreeToken {
    uint64_t ancestors; // those that a token of the tree sees of it: bit j its token j; 0 for other tokens
    int end;            // the end of the other places that it sees
    int position;
};

struct AttentionArguments {
    global_ptr<const bf16> q;              // [token][head][HeadDim], tokens q_stride elements apart, 16-byte aligned
    // Blocks, block_bytes apart: [KV head][token][HeadDim], then for elements of 8 bits float [KV head][token], their scales.
    global_ptr<const uint8_t> keys, values;
    global_ptr<bf16> out;                  // [token][head][HeadDim], tokens out_stride elements apart
    global_ptr<const int4> plan;
    global_ptr<const int> query_start;     // [sequences + 1]
    global_ptr<const int> context_lengths; // [sequences]
    global_ptr<const int> block_tables;    // [sequences][table_stride]
    global_ptr<float> partial;             // [row in partial][KV head][HeadDim]
    global_ptr<float2> partial_state;      // [row in partial][KV head] of maximum and sum
    global_ptr<float> scratch;             // [CTA][warp][Layout::TotalVectors * 4]; used for heads of more than 128 alone
    global_ptr<const TreeToken> trees;     // [tokens], 16-byte aligned; null where no sequence ends in a tree of drafts
    float scale_log2;                      // the factor on q . k, times log2(e); positive
    int32_t q_stride, out_stride, kv_heads, group, block_size, block_bytes, table_stride;
    int32_t window;                        // tokens that a token sees, itself included; 2^30 for all
};

template <class Kv, int HeadDim> struct Layout {
    static constexpr bool Large = HeadDim > 128; // too large for queries and chunk totals beside the sums in registers
    static constexpr int TileTokens = Large ? 32 : 64, Pieces = TileTokens / PieceTokens;
    static constexpr int RowBytes = HeadDim * Kv::Bytes, Vectors = RowBytes / 16; // of a token
    static constexpr int PieceBytes = PieceTokens * RowBytes;
    static constexpr int QueryVectors = HeadDim / 8, QueryBytes = WarpRows * HeadDim * 2;
    static constexpr int ScaleBytes = Kv::Bytes == 1 ? TileTokens * 8 : 0; // of a tile: the keys' scales, then the values'
    // Split: each warp has a ring of pieces, in whose last slot the queries lie first; where they don't fit it or are kept, they lie
    // behind the ring. Then the scales of two tiles.
    static constexpr int Slots = Large ? 2 : 6, RingQueries = (Large || Kv::Bytes == 1 ? Slots : Slots - 1) * PieceBytes;
    static constexpr int RingScales = RingQueries + QueryBytes, RingBytes = RingScales + 2 * ScaleBytes;
    // Whole: two stages of a tile's keys and values, their scales, then a place for each warp that holds its queries and later its total.
    static constexpr int StageBytes = 2 * Pieces * PieceBytes, StageScales = 2 * StageBytes, WarpPlaces = StageScales + 2 * ScaleBytes;
    static constexpr int TotalVectors = (HeadDim / 8 + 1) * 32; // PagedAttention.cs has a copy of this and of what a launch asks for
    static constexpr int WarpPlaceBytes = Large ? QueryBytes : TotalVectors * 16;
};

DEVICE int smaller(int a, int b) { return a < b ? a : b; }
DEVICE int larger(int a, int b) { return a > b ? a : b; }
DEVICE float minus_infinity() { return bits_float(0xff800000u); }

// How rows of so many 16-byte vectors lie in shared memory: swizzled, so that the eight rows of a matrix load lie in different banks.
template <int Vectors> struct RowSwizzle {
    static constexpr int Shift = Vectors % 8 == 0 ? 0 : Vectors % 4 == 0 ? 1 : 2;
    static constexpr int Mask = Vectors % 8 == 0 ? 7 : Vectors % 4 == 0 ? 3 : Vectors % 2 == 0 ? 1 : 0;
    static constexpr bool Aligned = (Vectors & (Vectors - 1)) == 0; // a row's address and the vector's share no bit
};

// Byte offset of a vector.
template <int Vectors> DEVICE int place(int row, int vector)
{
    using S = RowSwizzle<Vectors>;
    return row * (Vectors * 16) + ((vector ^ ((row >> S::Shift) & S::Mask)) << 4);
}

// Where a lane's matrix load finds a vector: the first one is `first` of its row, and steps are two vectors wide.
template <int Vectors> struct FragmentAddress {
    uint32_t row, vector;
};

template <int Vectors> DEVICE FragmentAddress<Vectors> fragment_address(uint32_t base, int row, int first)
{
    using S = RowSwizzle<Vectors>;
    const uint32_t vector = place<Vectors>(0, first) ^ (((row >> S::Shift) & S::Mask) << 4);
    const uint32_t start = base + row * (Vectors * 16);
    return {start, S::Aligned ? start ^ vector : vector};
}

// Computed from one register rather than kept in one a step.
template <int Vectors> DEVICE uint32_t step(const FragmentAddress<Vectors>& address, int k)
{
    const uint32_t vector = address.vector ^ (k << 5);
    return RowSwizzle<Vectors>::Aligned ? vector : address.row + vector;
}

// Consecutive rows of a sequence and KV head that are computed together.
struct Rows {
    int sequence, kv_head;
    int first, count; // row within the sequence
    int token;        // the sequence's first query in the batch
    int position;     // its place in the cache
    int begin, end;   // places in the cache that any of the rows sees
};

DEVICE int first_visible(const AttentionArguments& a, int position) { return larger(0, position - a.window + 1); }

DEVICE Rows rows_of(const AttentionArguments& a, int sequence, int kv_head, int first, int most)
{
    const int token = load(a.query_start + sequence), queries = load(a.query_start + sequence + 1) - token;
    const int context = load(a.context_lengths + sequence), position = context - queries, count = smaller(most, queries * a.group - first);
    const int query = first / a.group, seen_to = a.trees == nullptr ? context : load(a.trees + token + query).end;
    return {sequence, kv_head, first, count, token, position, first_visible(a, smaller(position + query, seen_to)),
            position + (first + count - 1) / a.group + 1};
}

// The block that a piece lies in, and its first token's place there.
struct Place {
    int block, token;
};

// Those of 32 pieces from `piece` on, one a lane: one division for all of them.
DEVICE Place places_of(const AttentionArguments& a, const Rows& rows, int piece)
{
    const int token = (piece + lane_index()) * PieceTokens, index = token / a.block_size;
    const bool seen = token < rows.end && token + PieceTokens > rows.begin;
    return {seen ? load(a.block_tables + static_cast<int64_t>(rows.sequence) * a.table_stride + index) : 0, token - index * a.block_size};
}

DEVICE Place shuffle(const Place& places, int lane) { return {shuffle(places.block, lane), shuffle(places.token, lane)}; }

// Sends 16 tokens of one KV head on their way, zeros in place of tokens that no row sees.
template <class Kv, int HeadDim>
DEVICE void load_piece(const AttentionArguments& a, const Rows& rows, uint32_t to, global_ptr<const uint8_t> cache, const Place& at, int piece)
{
    using L = Layout<Kv, HeadDim>;
    const int first = piece * PieceTokens;
    global_ptr<const uint8_t> from = cache + static_cast<int64_t>(at.block) * a.block_bytes
        + static_cast<int64_t>(rows.kv_head * a.block_size + at.token) * L::RowBytes;
    UNROLL_BY(L::Large ? 4 : 16) for (int i = 0; i < (PieceTokens * L::Vectors + 31) / 32; ++i) { // registers allow no more
        const int index = i * 32 + lane_index(), token = index / L::Vectors;
        const bool seen = first + token >= rows.begin && first + token < rows.end;
        if (PieceTokens * L::Vectors % 32 == 0 || token < PieceTokens)
            copy_async_16(to + place<L::Vectors>(token, index % L::Vectors), seen ? from + index * 16 : cache, seen ? 16 : 0);
    }
}

// Sends the scales of 16 tokens' keys and values to their places in a tile's, zeros likewise.
template <class Kv, int HeadDim> DEVICE void load_scales(const AttentionArguments& a, const Rows& rows, uint32_t to, const Place& at, int piece)
{
    using L = Layout<Kv, HeadDim>;
    const int first = piece * PieceTokens, token = lane_index() % PieceTokens, is_value = lane_index() / PieceTokens;
    global_ptr<const uint8_t> cache = is_value != 0 ? a.values : a.keys;
    global_ptr<const uint8_t> from = cache + static_cast<int64_t>(at.block) * a.block_bytes
        + static_cast<int64_t>(a.kv_heads) * a.block_size * L::RowBytes
        + (rows.kv_head * a.block_size + at.token + token) * 4;
    const bool seen = first + token >= rows.begin && first + token < rows.end;
    copy_async_4(to + (is_value * L::TileTokens + first % L::TileTokens + token) * 4, seen ? from : cache, seen ? 4 : 0);
}

template <int HeadDim> DEVICE void load_queries(const AttentionArguments& a, const Rows& rows, uint32_t to)
{
    constexpr int Vectors = HeadDim / 8;
    UNROLL_BY(HeadDim > 128 ? 4 : 16) for (int i = 0; i < WarpRows * Vectors / 32; ++i) {
        const int index = i * 32 + lane_index(), local = index / Vectors, vector = index % Vectors;
        const int row = rows.first + smaller(local, rows.count - 1), head = rows.kv_head * a.group + row % a.group;
        copy_async_16(to + place<Vectors>(local, vector),
                      a.q + static_cast<int64_t>(rows.token + row / a.group) * a.q_stride + head * HeadDim + vector * 8);
    }
}

// The warp's queries as A fragments; large heads are read from shared memory again and again.
template <int HeadDim> struct Queries {
    static constexpr bool Held = HeadDim <= 128;
    uint32_t fragments[Held ? HeadDim / 16 : 1][4];
    uint32_t address;
    float factor[2]; // on the scores of the lane's rows: powers of two come first
};

DEVICE int fragment_row() { return lane_index() & 15; }
DEVICE int fragment_vector() { return lane_index() >> 4; }

template <int HeadDim> DEVICE void load_fragment(uint32_t* to, uint32_t address, int k)
{
    load_matrix_x4(to, step(fragment_address<HeadDim / 8>(address, fragment_row(), fragment_vector()), k));
}

template <int HeadDim> DEVICE void hold_queries(Queries<HeadDim>& q, uint32_t address)
{
    q.address = address;
    if constexpr (Queries<HeadDim>::Held)
        UNROLL for (int k = 0; k < HeadDim / 16; ++k)
            load_fragment<HeadDim>(q.fragments[k], address, k);
}

// A warp's online softmax: rows lane/4 and lane/4 + 8. Maxima are of scores in powers of two; a lane's sums are of its own columns.
// Which elements of the head `values` hold is Kv's.
template <int HeadDim> struct State {
    float values[HeadDim / 8][4];
    float maximum[2], sum[2];
};

template <int HeadDim> DEVICE void clear(State<HeadDim>& state)
{
    UNROLL for (int n = 0; n < HeadDim / 8; ++n)
        UNROLL for (int e = 0; e < 4; ++e)
            state.values[n][e] = 0.0f;
    UNROLL for (int half = 0; half < 2; ++half) {
        state.maximum[half] = minus_infinity();
        state.sum[half] = 0.0f;
    }
}

// Exponents are taken relative to this; a row that has seen nothing has -infinity - 0.
DEVICE float finite(float maximum) { return maximum == minus_infinity() ? 0.0f : maximum; }

DEVICE uint32_t bits_below(int to) { return to >= 32 ? ~0u : (1u << larger(to, 0)) - 1; }
// Bits from .. to - 1.
DEVICE uint32_t bit_range(int from, int to) { return bits_below(to) & ~bits_below(from); }

// Of 32 places from `first` on, those that a lane's row sees. What is the row's own is not kept in registers for the one tile that
// asks for it.
DEVICE uint32_t seen_from(const AttentionArguments& a, const Rows& rows, int half, int first)
{
    // Rows that a tile lacks repeat its last one.
    const int query = (rows.first + smaller((lane_index() >> 2) + 8 * half, rows.count - 1)) / a.group;
    if (a.trees == nullptr) {
        const int end = rows.position + query + 1 - first;
        return bit_range(end - a.window, end);
    }
    const TreeToken own = load(a.trees + rows.token + query);
    const int end = own.end - first; // of a tree's token, where the tree begins
    const uint64_t above = end >= 0 ? own.ancestors << smaller(end, 32) : end > -64 ? own.ancestors >> -end : 0;
    return static_cast<uint32_t>(above) | bit_range(own.position + 1 - a.window - first, end);
}

// Takes from the scores of the tile at `first` what their rows do not see. The last row of a warp sees up to 16 tokens that others do
// not, or a tree.
template <int Columns> DEVICE void mask(float (&scores)[Columns][4], const AttentionArguments& a, const Rows& rows, int first)
{
    if (first + 8 * Columns > rows.end - (a.trees == nullptr ? WarpRows : MaxTreeTokens) || first < rows.end - a.window)
        UNROLL for (int i = 0; i < Columns / 2; ++i) { // four columns of a half
            const int half = i & 1, from = i / 2 * 4;
            const uint32_t seen = seen_from(a, rows, half, first + 8 * from + 2 * (lane_index() & 3));
            UNROLL for (int n = 0; n < 4; ++n)
                UNROLL for (int e = 0; e < 2; ++e)
                    if ((seen >> (8 * n + e) & 1) == 0)
                        scores[from + n][2 * half + e] = minus_infinity();
        }
}

// Times one is no change, so this needs no agreement between variants.
template <int HeadDim> DEVICE void rescale(State<HeadDim>& state, const float (&factor)[2])
{
    if (warp_any(factor[0] != 1.0f || factor[1] != 1.0f))
        UNROLL for (int n = 0; n < HeadDim / 8; ++n)
            UNROLL for (int e = 0; e < 4; ++e)
                state.values[n][e] *= factor[e >> 1];
}

// The largest over a row's lanes.
DEVICE float row_maximum(float value)
{
    value = maximum(value, shuffle_xor(value, 1));
    return maximum(value, shuffle_xor(value, 2));
}

// The one formula by which chunks meet: total = total * keep + chunk * add, for sums and values alike.
struct Fold {
    float maximum, keep, add;
};

DEVICE Fold fold_of(float total, float chunk)
{
    const float top = maximum(total, chunk), base = finite(top);
    return {top, exp2_approx(total - base), exp2_approx(chunk - base)};
}
DEVICE float fold(const Fold& f, float total, float chunk) { return fmadd(chunk, f.add, total * f.keep); }

// Where row `local` of a tile's chunk lies, in rows of partial times KV heads.
DEVICE int64_t partial_row(const AttentionArguments& a, const Rows& rows, int base, int chunk, int local)
{
    return (static_cast<int64_t>(base) + chunk * rows.count + local) * a.kv_heads + rows.kv_head;
}
