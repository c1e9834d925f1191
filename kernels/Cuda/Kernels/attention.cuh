// What a warp of paged_attention.cu does with its 16 rows: where rows and tokens lie, and the online softmax over tiles and chunks.
#pragma once
#include "device.cuh"

static constexpr int Threads = 128, Warps = Threads / 32, WarpRows = 16, WholeRows = Warps * WarpRows;
static constexpr int PieceTokens = 16, ChunkTokens = 256;

struct AttentionArguments {
    global_ptr<const bf16> q;              // [token][head][HeadDim], tokens q_stride elements apart, 16-byte aligned
    global_ptr<const bf16> keys, values;   // [block][KV head][token of the block][HeadDim]
    global_ptr<bf16> out;                  // [token][head][HeadDim], tokens out_stride elements apart
    global_ptr<const int4> plan;
    global_ptr<const int> query_start;     // [sequences + 1]
    global_ptr<const int> context_lengths; // [sequences]
    global_ptr<const int> block_tables;    // [sequences][table_stride]
    global_ptr<float> partial;             // [row in partial][KV head][HeadDim]
    global_ptr<float2> partial_state;      // [row in partial][KV head] of maximum and sum
    global_ptr<float> scratch;             // [CTA][warp][Layout::TotalVectors * 4]; used for heads of more than 128 alone
    float scale_log2;                      // the factor on q . k, times log2(e); positive
    int32_t q_stride, out_stride, kv_heads, group, block_size, table_stride;
    int32_t window;                        // tokens that a token sees, itself included; 2^30 for all
};

template <int HeadDim> struct Layout {
    static constexpr bool Large = HeadDim > 128; // too large for queries and chunk totals beside the sums in registers
    static constexpr int TileTokens = Large ? 32 : 64, Pieces = TileTokens / PieceTokens;
    static constexpr int Vectors = HeadDim / 8; // 16-byte vectors of a token
    static constexpr int PieceBytes = PieceTokens * HeadDim * 2;
    // Split: each warp has a ring of pieces, in whose last slot the queries lie first; large heads keep them behind the ring.
    static constexpr int Slots = Large ? 2 : 6, RingBytes = (Large ? 3 : 6) * PieceBytes;
    static constexpr int RingQueries = (Large ? 2 : 5) * PieceBytes;
    // Whole: two stages of a tile's keys and values, then a place for each warp that holds its queries and later its total.
    static constexpr int StageBytes = 2 * Pieces * PieceBytes, WarpPlaces = 2 * StageBytes;
    static constexpr int TotalVectors = (HeadDim / 8 + 1) * 32; // PagedAttention.cs has a copy of this and of SharedBytes
    static constexpr int WarpPlaceBytes = Large ? PieceBytes : TotalVectors * 16;
    static constexpr int SharedBytes = WarpPlaces + Warps * WarpPlaceBytes;
    static_assert(Warps * RingBytes <= SharedBytes, "both kinds of work share one launch");
    // A vector's place in its row, so that the eight rows of a matrix load lie in different banks.
    static constexpr int Shift = HeadDim == 80 ? 2 : HeadDim == 96 ? 1 : 0, Mask = HeadDim == 80 ? 1 : HeadDim == 96 ? 3 : 7;
};

DEVICE int smaller(int a, int b) { return a < b ? a : b; }
DEVICE int larger(int a, int b) { return a > b ? a : b; }
DEVICE float minus_infinity() { return bits_float(0xff800000u); }

// Byte offset of a vector in a piece.
template <int HeadDim> DEVICE int place(int token, int vector)
{
    using L = Layout<HeadDim>;
    return token * (HeadDim * 2) + ((vector ^ ((token >> L::Shift) & L::Mask)) << 4);
}

// Where a lane's matrix load finds a vector: the first one is `first` of token `token`, and steps are 16 elements wide.
template <int HeadDim> struct FragmentAddress {
    static constexpr bool Aligned = (HeadDim & (HeadDim - 1)) == 0; // a row's address and the vector's share no bit
    uint32_t row, vector;
};

template <int HeadDim> DEVICE FragmentAddress<HeadDim> fragment_address(uint32_t piece, int token, int first)
{
    const uint32_t vector = place<HeadDim>(0, first) ^ (((token >> Layout<HeadDim>::Shift) & Layout<HeadDim>::Mask) << 4);
    const uint32_t row = piece + token * (HeadDim * 2);
    return {row, FragmentAddress<HeadDim>::Aligned ? row ^ vector : vector};
}

// Computed from one register rather than kept in one a step.
template <int HeadDim> DEVICE uint32_t step(const FragmentAddress<HeadDim>& address, int k)
{
    const uint32_t vector = address.vector ^ (k << 5);
    return FragmentAddress<HeadDim>::Aligned ? vector : address.row + vector;
}

// Consecutive rows of a sequence and KV head that are computed together.
struct Rows {
    int sequence, kv_head;
    int first, count; // row within the sequence
    int token;        // the sequence's first query in the batch
    int position;     // its position
    int begin, end;   // positions that any of the rows sees
};

DEVICE int first_visible(const AttentionArguments& a, int position) { return larger(0, position - a.window + 1); }

DEVICE Rows rows_of(const AttentionArguments& a, int sequence, int kv_head, int first, int most)
{
    const int token = load(a.query_start + sequence), queries = load(a.query_start + sequence + 1) - token;
    const int position = load(a.context_lengths + sequence) - queries, count = smaller(most, queries * a.group - first);
    return {sequence, kv_head, first, count, token, position, first_visible(a, position + first / a.group),
            position + (first + count - 1) / a.group + 1};
}

// The last positions that a lane's two rows see, and that all rows of the warp see.
struct Sight {
    int last[2], all;
};

DEVICE Sight sight_of(const AttentionArguments& a, const Rows& rows)
{
    Sight sight;
    UNROLL for (int half = 0; half < 2; ++half)
        sight.last[half] = rows.position + (rows.first + smaller((lane_index() >> 2) + 8 * half, rows.count - 1)) / a.group;
    sight.all = rows.position + rows.first / a.group;
    return sight;
}

// Blocks of 32 pieces from `piece` on, one a lane.
DEVICE int blocks_of(const AttentionArguments& a, const Rows& rows, int piece)
{
    const int token = (piece + lane_index()) * PieceTokens;
    const bool seen = token < rows.end && token + PieceTokens > rows.begin;
    return seen ? load(a.block_tables + static_cast<int64_t>(rows.sequence) * a.table_stride + token / a.block_size) : 0;
}

// Sends 16 tokens of one KV head on their way, zeros in place of tokens that no row sees.
template <int HeadDim>
DEVICE void load_piece(const AttentionArguments& a, const Rows& rows, uint32_t to, global_ptr<const bf16> cache, int block, int piece)
{
    using L = Layout<HeadDim>;
    const int first = piece * PieceTokens;
    const int64_t slot = (static_cast<int64_t>(block) * a.kv_heads + rows.kv_head) * a.block_size + first % a.block_size;
    global_ptr<const bf16> from = cache + slot * HeadDim;
    UNROLL_BY(L::Large ? 4 : 16) for (int i = 0; i < PieceTokens * L::Vectors / 32; ++i) { // registers allow no more
        const int index = i * 32 + lane_index(), token = index / L::Vectors;
        const bool seen = first + token >= rows.begin && first + token < rows.end;
        copy_async_16(to + place<HeadDim>(token, index % L::Vectors), seen ? from + index * 8 : cache, seen ? 16 : 0);
    }
}

template <int HeadDim> DEVICE void load_queries(const AttentionArguments& a, const Rows& rows, uint32_t to)
{
    using L = Layout<HeadDim>;
    UNROLL_BY(L::Large ? 4 : 16) for (int i = 0; i < WarpRows * L::Vectors / 32; ++i) {
        const int index = i * 32 + lane_index(), local = index / L::Vectors, vector = index % L::Vectors;
        const int row = rows.first + smaller(local, rows.count - 1), head = rows.kv_head * a.group + row % a.group;
        copy_async_16(to + place<HeadDim>(local, vector),
                      a.q + static_cast<int64_t>(rows.token + row / a.group) * a.q_stride + head * HeadDim + vector * 8);
    }
}

// The warp's queries as A fragments; large heads are read from shared memory again and again.
template <int HeadDim> struct Queries {
    uint32_t held[Layout<HeadDim>::Large ? 1 : HeadDim / 16][4];
    uint32_t address;
};

DEVICE int fragment_row() { return lane_index() & 15; }
DEVICE int fragment_vector() { return lane_index() >> 4; }

template <int HeadDim> DEVICE void hold_queries(Queries<HeadDim>& q, uint32_t address)
{
    q.address = address;
    if constexpr (!Layout<HeadDim>::Large)
        UNROLL for (int k = 0; k < HeadDim / 16; ++k)
            load_matrix_x4(q.held[k], step(fragment_address<HeadDim>(address, fragment_row(), fragment_vector()), k));
}

// scores[0..1] = q . keys of a piece's 16 tokens.
template <int HeadDim> DEVICE void score_piece(float (*scores)[4], const Queries<HeadDim>& q, uint32_t piece)
{
    const int token = (lane_index() & 7) + 8 * (lane_index() >> 4), vector = (lane_index() >> 3) & 1;
    const FragmentAddress<HeadDim> address = fragment_address<HeadDim>(piece, token, vector);
    UNROLL for (int k = 0; k < HeadDim / 16; ++k) {
        uint32_t keys[4];
        load_matrix_x4(keys, step(address, k));
        if constexpr (Layout<HeadDim>::Large) {
            uint32_t queries[4];
            load_matrix_x4(queries, step(fragment_address<HeadDim>(q.address, fragment_row(), fragment_vector()), k));
            mma_bf16(scores[0], queries, keys);
            mma_bf16(scores[1], queries, keys + 2);
        } else {
            mma_bf16(scores[0], q.held[k], keys);
            mma_bf16(scores[1], q.held[k], keys + 2);
        }
    }
}

// A warp's online softmax: rows lane/4 and lane/4 + 8. Maxima are of scores times scale_log2; a lane's sums are of its own columns.
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

// values += probabilities . values of a piece's 16 tokens; the scores' registers are the A fragment.
template <int HeadDim> DEVICE void add_piece(State<HeadDim>& state, const float (*probabilities)[4], uint32_t piece)
{
    const uint32_t weights[4] = {
        pack_bf16(probabilities[0][0], probabilities[0][1]), pack_bf16(probabilities[0][2], probabilities[0][3]),
        pack_bf16(probabilities[1][0], probabilities[1][1]), pack_bf16(probabilities[1][2], probabilities[1][3])};
    const FragmentAddress<HeadDim> address = fragment_address<HeadDim>(piece, fragment_row(), fragment_vector());
    UNROLL for (int k = 0; k < HeadDim / 16; ++k) {
        uint32_t values[4];
        load_matrix_x4_transposed(values, step(address, k));
        mma_bf16(state.values[2 * k], weights, values);
        mma_bf16(state.values[2 * k + 1], weights, values + 2);
    }
}

// Exponents are taken relative to this; a row that has seen nothing has -infinity - 0.
DEVICE float finite(float maximum) { return maximum == minus_infinity() ? 0.0f : maximum; }

// Takes from the scores of the tile at `first` what their rows do not see.
template <int Columns>
DEVICE void mask(float (&scores)[Columns][4], const AttentionArguments& a, const Rows& rows, const Sight& sight, int first)
{
    if (first + 8 * Columns - 1 > sight.all || first < rows.end - a.window)
        UNROLL for (int n = 0; n < Columns; ++n)
            UNROLL for (int e = 0; e < 4; ++e) {
                const int token = first + 8 * n + 2 * (lane_index() & 3) + (e & 1), last = sight.last[e >> 1];
                if (token > last || token <= last - a.window)
                    scores[n][e] = minus_infinity();
            }
}

// A tile's scores become probabilities relative to the new maximum, and the state is rescaled to it.
template <int HeadDim, int Columns> DEVICE void softmax_step(State<HeadDim>& state, float (&scores)[Columns][4], float scale)
{
    float factor[2];
    UNROLL for (int half = 0; half < 2; ++half) {
        float top = scores[0][2 * half];
        UNROLL for (int n = 0; n < Columns; ++n)
            UNROLL for (int e = 0; e < 2; ++e)
                top = maximum(top, scores[n][2 * half + e]);
        top = maximum(top, shuffle_xor(top, 1));
        top = maximum(top, shuffle_xor(top, 2));
        top = maximum(state.maximum[half], top * scale);
        const float base = finite(top);
        factor[half] = exp2_approx(state.maximum[half] - base);
        float sum = 0.0f;
        UNROLL for (int n = 0; n < Columns; ++n)
            UNROLL for (int e = 0; e < 2; ++e) {
                const float p = exp2_approx(fmadd(scores[n][2 * half + e], scale, -base));
                scores[n][2 * half + e] = p;
                sum += p;
            }
        state.maximum[half] = top;
        state.sum[half] = fmadd(state.sum[half], factor[half], sum);
    }
    // Times one is no change, so this needs no agreement between variants.
    if (warp_any(factor[0] != 1.0f || factor[1] != 1.0f))
        UNROLL for (int n = 0; n < HeadDim / 8; ++n)
            UNROLL for (int e = 0; e < 4; ++e)
                state.values[n][e] *= factor[e >> 1];
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

// The sums over all of a row's lanes; closes a chunk.
template <int HeadDim> DEVICE void close_sums(State<HeadDim>& state)
{
    UNROLL for (int half = 0; half < 2; ++half) {
        state.sum[half] += shuffle_xor(state.sum[half], 1);
        state.sum[half] += shuffle_xor(state.sum[half], 2);
    }
}
