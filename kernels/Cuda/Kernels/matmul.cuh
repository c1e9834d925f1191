// out[token][row] = sum over k of weight[row][k] * x[token][k] (* factor[row]) (+ bias[row]) (+ residual[token][row]): what the matmul_*.cu share.
// A format says how its weights are packed and become BF16 fragments; activations are BF16, sums F32.
//
// Floor: few tokens, the packed weights once through memory; many, 2 * tokens * rows * columns operations.
//
// Weights are the MMA's A operand and tokens its N, so eight tokens cost as much tensor time as one. They are packed once at load:
// [block of 128 rows][chunk of Format::Columns columns], each chunk one contiguous piece: 8192 bytes of weights, then its scales.
// The weights of a chunk are [strip of 16 rows: 8][step of 32 columns] in the order of the lanes' A fragments. Missing rows and
// columns are packed so that they give zero.
//
// Where gates and ups are interleaved (gated), a thread has a gate in total[..][0..1] and its up in total[..][2..3], so that the
// block writes 64 rows of silu(gate) * up, rounded once.
//
// A CTA computes a tile of 128 rows x Tokens tokens, each warp 16 rows of it. K is cut into `splits` runs of chunks, and
//   out = ((split 0 + split 1) + split 2) + ..., each split summed chunk by chunk.
// Either every split has its CTA, and the one that ends last adds up what all have left in `partial`; or one CTA goes through them
// all. The splits come from the weight's shape, so a row's bits depend neither on the number of tokens nor on the variant.
//
// Experts: many matrices of one shape lie one after the other, and a table that route.cu writes says which rows of the result a tile
// has and which expert's they are. A grid is made for as many tiles as there can be; those without rows end at once.
#pragma once
#include "vectors.cuh"

static constexpr int Threads = 256, BlockRows = 128, PackedBytes = 8192;
static constexpr int TileStride = BlockRows + 4; // floats; the padding keeps the epilogue's stores free of bank conflicts

// At most 128 bytes: of a larger parameter the compiler keeps so much in registers that tiles of 64 tokens need 50 more.
struct MatMulArguments {
    global_ptr<const uint8_t> weights;
    global_ptr<const bf16> x;         // [tokens][columns]; rows x_stride elements apart, a multiple of 8; 16-byte aligned
    global_ptr<const float> factors;  // [packed rows of all blocks, of all experts], or null
    global_ptr<const float> bias;     // [rows], or null
    global_ptr<const float> residual; // [tokens][rows], rows residual_stride elements apart, or null
    global_ptr<uint8_t> out;          // [tokens][rows] F32 or BF16, rows out_stride elements apart; may be the residual
    global_ptr<float> partial;        // [row block][token tile][split][Tokens * 128]; unused where a CTA does all splits
    global_ptr<uint32_t> tickets;     // [row block][token tile], zero before and after; likewise
    int32_t x_stride, residual_stride, out_stride;
    int32_t tokens, rows, columns, chunks, splits;
    int32_t token_tiles, tiles_across; // grid: x = row blocks * tiles_across (fastest), y = splits or 1, z = token_tiles / tiles_across
    int32_t out_f32, vectors;          // vectors: bias, residual and out allow accesses of four elements
    int32_t gated;                     // out has silu(gate) * up: of sixteen packed rows, eight are gates and eight their ups
};

static_assert(sizeof(MatMulArguments) <= 128, "");

// Which rows of the result are whose. One matrix: all are its own.
struct AllRows {
    static constexpr bool OfExperts = false;
};

struct ExpertRows {
    static constexpr bool OfExperts = true;
    global_ptr<const uint4> tiles;    // [token_tiles] expert, first row of the result, rows
    global_ptr<const int32_t> x_rows; // which row of x a row of the result has its activations from, or null where its own
};

template <class Format, int TokenTiles, bool OfExperts> struct Tiling {
    static constexpr bool Experts = OfExperts;
    static constexpr int Tokens = TokenTiles * 8, Columns = Format::Columns, Steps = Columns / 32, Pieces = Columns / 8;
    static constexpr int TokensApart = Threads / Pieces; // whose pieces one thread copies; a multiple of the swizzle's period
    static constexpr int Copies = (Tokens + TokensApart - 1) / TokensApart; // of a thread, for a chunk's activations
    static constexpr int WeightBytes = PackedBytes + Format::ScaleBytes;
    static constexpr int SumOffset = WeightBytes + Tokens * Columns * 2; // sums of x over groups of 32 columns: [group][token]
    static constexpr int StageBytes = SumOffset + (Format::Minimum ? Steps * Tokens * 4 : 0);
    // Two CTAs an SM on sm_80 for few tokens, sm_89's 99 KB a CTA for many. The host computes the same.
    static constexpr int Budget = (TokenTiles == 8 ? 96 : 79) * 1024;
    static constexpr int Stages = Budget / StageBytes < 8 ? Budget / StageBytes : 8;
    static constexpr int Ahead = Format::Minimum ? 1 : 0; // sums are made one chunk ahead of their use
    static_assert(Stages >= 3, "the pipeline holds a chunk in use, one with sums under way and one on its way");
};

// What this CTA computes. weight_block: the row block among those of all experts; tokens: fewer than a tile's at an end, 0 for a tile
// that no expert needs.
struct Tile {
    int row_block, token_tile, first_split, end_split, weight_block, first_token, tokens;
};

template <class T, class Rows> DEVICE Tile tile_of(const MatMulArguments& a, const Rows& rows)
{
    const bool alone = grid_y() == 1;
    const int row_block = block_x() / a.tiles_across, token_tile = block_z() * a.tiles_across + block_x() % a.tiles_across;
    Tile tile = {row_block, token_tile, alone ? 0 : block_y(), alone ? a.splits : block_y() + 1, row_block,
                 token_tile * T::Tokens, a.tokens - token_tile * T::Tokens};
    if constexpr (T::Experts) {
        tile.tokens = 0;
        if (token_tile < a.token_tiles) {
            dependency_wait();
            const uint4 entry = load(rows.tiles + token_tile);
            tile.weight_block += static_cast<int>(entry.x) * (grid_x() / a.tiles_across);
            tile.first_token = static_cast<int>(entry.y);
            tile.tokens = static_cast<int>(entry.z);
        }
    }
    return tile;
}

DEVICE int split_begin(const MatMulArguments& a, int split)
{
    return a.chunks * split / a.splits;
}

// Where 16-byte piece `piece` of a token lies in a stage, swizzled so that eight tokens' equal pieces lie in different banks.
template <class T> DEVICE uint32_t x_piece(int token, int piece)
{
    return T::WeightBytes + (token * T::Pieces + (piece ^ (T::Pieces >= 8 ? token & 7 : (token >> 1) & 3))) * 16;
}

// A thread's share of the copies: which bytes of a chunk's weights, which pieces of its activations. Advances chunk by chunk.
template <class T> struct Loader {
    global_ptr<const uint8_t> weights;
    global_ptr<const bf16> x;
    uint32_t x_at;                 // of the first piece in a stage; the others lie TokensApart rows further on
    int x_bytes_left, tokens_left; // from the first piece to the end of its row, and of the rows
    int x_apart;                   // elements between pieces, where the rows lie one after the other
    int x_row[T::Experts ? T::Copies : 1]; // experts: where the rows of the pieces begin in x, in units of 8 elements
};

template <class T, class Rows>
DEVICE Loader<T> loader_of(const MatMulArguments& a, const Rows& rows, const Tile& tile, int first_chunk)
{
    const int local = thread_index() / T::Pieces, piece = thread_index() % T::Pieces;
    const int column = first_chunk * T::Columns + piece * 8;
    const int64_t chunk = static_cast<int64_t>(tile.weight_block) * a.chunks + first_chunk;
    Loader<T> loader = {a.weights + chunk * T::WeightBytes + thread_index() * 16, a.x + column, x_piece<T>(local, piece),
                        (a.columns - column) * 2, tile.tokens - local, T::TokensApart * a.x_stride, {}};
    if constexpr (T::Experts) {
        UNROLL for (int copy = 0; copy < T::Copies; ++copy)
            if (copy * T::TokensApart < loader.tokens_left) {
                const int row = tile.first_token + local + copy * T::TokensApart;
                loader.x_row[copy] = (rows.x_rows != nullptr ? load(rows.x_rows + row) : row) * (a.x_stride / 8);
            }
    } else
        loader.x += static_cast<int64_t>(tile.first_token + local) * a.x_stride;
    return loader;
}

template <class T> DEVICE void load_weights(Loader<T>& loader, uint32_t stage, uint64_t policy)
{
    UNROLL for (int at = 0; at < T::WeightBytes; at += Threads * 16)
        if (at + Threads * 16 <= T::WeightBytes || at + thread_index() * 16 < T::WeightBytes)
            copy_async_16_once(stage + at + thread_index() * 16, loader.weights + at, policy);
    loader.weights += T::WeightBytes;
}

template <class T> DEVICE global_ptr<const bf16> x_source(const Loader<T>& loader, int copy)
{
    if constexpr (T::Experts)
        return loader.x + static_cast<int64_t>(loader.x_row[copy]) * 8;
    else
        return loader.x + copy * loader.x_apart;
}

template <class T> DEVICE void load_x(Loader<T>& loader, uint32_t stage)
{
    const int bytes = loader.x_bytes_left < 0 ? 0 : loader.x_bytes_left < 16 ? loader.x_bytes_left : 16;
    UNROLL for (int copy = 0; copy < T::Copies; ++copy)
        if (T::TokensApart <= T::Tokens || thread_index() < T::Tokens * T::Pieces)
            copy_async_16(stage + loader.x_at + copy * T::TokensApart * T::Pieces * 16, x_source(loader, copy),
                          copy * T::TokensApart < loader.tokens_left ? bytes : 0);
    loader.x += T::Columns;
    loader.x_bytes_left -= T::Columns * 2;
}

// Sums of x over each group of 32 columns, by products with ones; a warp takes eight tokens of a group at a time.
template <class T> DEVICE void sum_groups(uint32_t stage)
{
    const int lane = lane_index();
    const uint32_t ones[4] = {0x3f803f80u, 0x3f803f80u, 0x3f803f80u, 0x3f803f80u};
    UNROLL for (int i = 0; i < (T::Steps * (T::Tokens / 8) + 7) / 8; ++i) {
        const int item = i * 8 + warp_index(), group = item % T::Steps, tokens = item / T::Steps * 8;
        if (tokens >= T::Tokens)
            break;
        uint32_t b[4];
        float sum[4] = {};
        load_matrix_x4(b, stage + x_piece<T>(tokens + (lane & 7), group * 4 + (lane >> 3)));
        mma_bf16(sum, ones, b);
        mma_bf16(sum, ones, b + 2);
        if (lane < 4)
            store(shared_at<float2>(stage + T::SumOffset + (group * T::Tokens + tokens + 2 * lane) * 4), float2{sum[0], sum[1]});
    }
}

// sum += scale * part (- minimum * sum of x), for a lane's rows and tokens of eight; part becomes zero.
template <class Format, class T>
DEVICE void fold_group(float (&sum)[4], float (&part)[4], const typename Format::Scales& scales, int group, int tokens, uint32_t stage)
{
    UNROLL for (int e = 0; e < 4; ++e) {
        sum[e] = fmadd(part[e], Format::scale(scales, e >> 1, group), sum[e]);
        part[e] = 0.0f;
    }
    if constexpr (Format::Minimum) {
        const int at = group * T::Tokens + tokens + 2 * (lane_index() & 3);
        const float2 x_sum = load(shared_at<const float2>(stage + T::SumOffset + at * 4));
        UNROLL for (int e = 0; e < 4; ++e)
            sum[e] = fmadd(e & 1 ? x_sum.y : x_sum.x, -Format::minimum(scales, e >> 1, group), sum[e]);
    }
}

// Multiplies a warp's strip with a chunk of the activations.
template <class Format, class T, int TokenTiles> DEVICE void multiply_stage(float (&sum)[TokenTiles][4], uint32_t stage)
{
    constexpr int Batch = TokenTiles < 4 ? TokenTiles : 4, Group = Format::Group, StepBytes = PackedBytes / 8 / T::Steps;
    const int lane = lane_index(), strip = warp_index();
    const typename Format::Scales scales = Format::load_scales(stage + PackedBytes, strip * 16 + (lane >> 2));
    float part[TokenTiles][4] = {};
    UNROLL_BY(TokenTiles >= 4 && T::Steps == 4 ? 2 : T::Steps) for (int step = 0; step < T::Steps; ++step) { // registers allow no more
        uint32_t fragment[2 * Format::Terms][4];
        Format::load_fragments(fragment, stage + (strip * T::Steps + step) * StepBytes, scales, step);
        UNROLL for (int first = 0; first < TokenTiles; first += Batch) {
            uint32_t b[Batch][4];
            UNROLL for (int t = 0; t < Batch; ++t)
                load_matrix_x4(b[t], stage + x_piece<T>((first + t) * 8 + (lane & 7), step * 4 + (lane >> 3)));
            UNROLL for (int tile = 0; tile < 2; ++tile) {
                UNROLL for (int term = 0; term < Format::Terms; ++term)
                    UNROLL for (int t = first; t < first + Batch; ++t)
                        mma_bf16(Group == 0 ? sum[t] : part[t], fragment[tile * Format::Terms + term], b[t - first] + tile * 2);
                const int columns = step * 32 + tile * 16 + 16;
                if constexpr (Group > 0)
                    UNROLL for (int t = first; t < first + Batch && columns % Group == 0; ++t)
                        fold_group<Format, T>(sum[t], part[t], scales, columns / Group - 1, t * 8, stage);
            }
        }
    }
}

// Sums the tile's splits, in order, into total.
template <class Format, class T, class Rows, int TokenTiles>
DEVICE void sum_chunks(const MatMulArguments& a, const Rows& rows, const Tile& tile, float (&total)[TokenTiles][4])
{
    const int first = split_begin(a, tile.first_split), last = split_begin(a, tile.end_split);
    const uint64_t policy = evict_first_policy();
    Loader<T> loader = loader_of<T>(a, rows, tile, first);
    UNROLL for (int s = 0; s < T::Stages - 1; ++s)
        if (first + s < last)
            load_weights<T>(loader, shared_base() + s * T::StageBytes, policy);
    dependency_wait(); // the weights were there before
    UNROLL for (int s = 0; s < T::Stages - 1; ++s) {
        if (first + s < last)
            load_x<T>(loader, shared_base() + s * T::StageBytes);
        copy_async_commit();
    }
    if constexpr (Format::Minimum) {
        copy_async_wait<T::Stages - 2>();
        barrier();
        sum_groups<T>(shared_base());
    }
    float sum[TokenTiles][4] = {};
    int split = tile.first_split, end = split_begin(a, split + 1), reading = 0, writing = T::Stages - 1;
    NO_UNROLL for (int chunk = first; chunk < last; ++chunk) {
        copy_async_wait<T::Stages - 2 - T::Ahead>();
        barrier();
        if (chunk + T::Stages - 1 < last) {
            load_weights<T>(loader, shared_base() + writing * T::StageBytes, policy);
            load_x<T>(loader, shared_base() + writing * T::StageBytes);
        }
        copy_async_commit();
        multiply_stage<Format, T>(sum, shared_base() + reading * T::StageBytes);
        reading = reading + 1 == T::Stages ? 0 : reading + 1;
        writing = writing + 1 == T::Stages ? 0 : writing + 1;
        if (Format::Minimum && chunk + 1 < last)
            sum_groups<T>(shared_base() + reading * T::StageBytes);
        if (chunk + 1 == end) {
            UNROLL for (int t = 0; t < TokenTiles; ++t)
                UNROLL for (int e = 0; e < 4; ++e) {
                    total[t][e] = split == tile.first_split ? sum[t][e] : total[t][e] + sum[t][e];
                    sum[t][e] = 0.0f;
                }
            end = split_begin(a, ++split + 1);
        }
    }
    copy_async_wait<0>();
}

// Hands this split's tile over. True in the CTA that comes last, whose total is then that of all splits, added in order.
template <int TokenTiles> DEVICE bool reduce_splits(const MatMulArguments& a, const Tile& tile, float (&total)[TokenTiles][4])
{
    const int index = tile.row_block * a.token_tiles + tile.token_tile;
    shared_ptr<uint32_t> ticket = shared_at<uint32_t>(shared_base());
    global_ptr<float4> partial = cast<float4>(a.partial) + static_cast<int64_t>(index) * a.splits * TokenTiles * Threads + thread_index();
    UNROLL for (int t = 0; t < TokenTiles; ++t)
        store(partial + (tile.first_split * TokenTiles + t) * Threads, float4{total[t][0], total[t][1], total[t][2], total[t][3]});
    fence_device();
    barrier();
    if (thread_index() == 0)
        store(ticket, add_acquire_release(a.tickets + index, 1));
    barrier();
    if (load(ticket) != static_cast<uint32_t>(a.splits - 1))
        return false;
    for (int split = 0; split < a.splits; ++split)
        UNROLL for (int t = 0; t < TokenTiles; ++t) {
            const float4 next = load_shared_by_ctas(global_ptr<const float4>(partial + (split * TokenTiles + t) * Threads));
            const float value[4] = {next.x, next.y, next.z, next.w};
            UNROLL for (int e = 0; e < 4; ++e)
                total[t][e] = split == 0 ? value[e] : total[t][e] + value[e];
        }
    if (thread_index() == 0)
        store(a.tickets + index, 0u);
    return true;
}

// Adds bias and residual to four neighbouring rows of a token and rounds them once.
DEVICE void write_four(const MatMulArguments& a, int token, int row, float4 sum)
{
    const int64_t at = static_cast<int64_t>(token) * a.out_stride + row, residual_at = static_cast<int64_t>(token) * a.residual_stride + row;
    if (a.vectors) {
        const float4 zero = {0.0f, 0.0f, 0.0f, 0.0f};
        const float4 bias = a.bias != nullptr ? load(cast<const float4>(a.bias + row)) : zero;
        const float4 residual = a.residual != nullptr ? load(cast<const float4>(a.residual + residual_at)) : zero;
        const float4 v = {sum.x + bias.x + residual.x, sum.y + bias.y + residual.y, sum.z + bias.z + residual.z,
                          sum.w + bias.w + residual.w};
        if (a.out_f32)
            store(cast<float4>(cast<float>(a.out) + at), v);
        else
            store(cast<uint2>(cast<bf16>(a.out) + at), uint2{pack_bf16(v.x, v.y), pack_bf16(v.z, v.w)});
        return;
    }
    float value[4] = {sum.x, sum.y, sum.z, sum.w};
    UNROLL for (int e = 0; e < 4; ++e)
        if (row + e < a.rows) {
            value[e] += a.bias != nullptr ? load(a.bias + row + e) : 0.0f;
            value[e] += a.residual != nullptr ? load(a.residual + residual_at + e) : 0.0f;
            if (a.out_f32)
                store(cast<float>(a.out) + at + e, value[e]);
            else
                store(cast<bf16>(a.out) + at + e, to_bf16(value[e]));
        }
}

// Multiplies a thread's two packed rows by their factors.
template <int TokenTiles> DEVICE void apply_factors(const MatMulArguments& a, int row, float (&total)[TokenTiles][4])
{
    if (a.factors == nullptr)
        return;
    const float low = load(a.factors + row), high = load(a.factors + row + 8);
    UNROLL for (int t = 0; t < TokenTiles; ++t)
        UNROLL for (int e = 0; e < 4; ++e)
            total[t][e] = product(total[t][e], e < 2 ? low : high);
}

// Turns the tile in shared memory, so that a warp writes 128 rows (64 where gated) of a token at a time.
template <class T, int TokenTiles> DEVICE void write_out(const MatMulArguments& a, const Tile& tile, float (&total)[TokenTiles][4])
{
    static_assert(T::Tokens * TileStride * 4 <= T::Stages * T::StageBytes, "the tile takes the stages' place");
    const int lane = lane_index(), group = lane >> 2, token_pair = 2 * (lane & 3);
    shared_ptr<float> turned = shared_at<float>(shared_base());
    apply_factors(a, tile.weight_block * BlockRows + warp_index() * 16 + group, total);
    barrier();
    UNROLL for (int t = 0; t < TokenTiles; ++t)
        UNROLL for (int e = 0; e < 2; ++e) {
            const shared_ptr<float> to = turned + (t * 8 + token_pair + e) * TileStride + group;
            if (a.gated) {
                store(to + warp_index() * 8, silu(total[t][e]) * total[t][e + 2]);
            } else {
                store(to + warp_index() * 16, total[t][e]);
                store(to + warp_index() * 16 + 8, total[t][e + 2]);
            }
        }
    barrier();
    const int rows = a.gated ? BlockRows / 2 : BlockRows, out_row = tile.row_block * rows + 4 * lane;
    if (4 * lane < rows && out_row < a.rows)
        for (int token = warp_index(); token < T::Tokens && token < tile.tokens; token += Threads / 32)
            write_four(a, tile.first_token + token, out_row, load(cast<const float4>(turned + token * TileStride) + lane));
}

template <class Format, int TokenTiles, class Rows> DEVICE void matmul(const MatMulArguments& a, const Rows& rows)
{
    using T = Tiling<Format, TokenTiles, Rows::OfExperts>;
    const Tile tile = tile_of<T>(a, rows);
    if (tile.tokens <= 0)
        return;
    float total[TokenTiles][4] = {};
    sum_chunks<Format, T>(a, rows, tile, total);
    launch_dependents();
    if (grid_y() == 1 || reduce_splits(a, tile, total))
        write_out<T>(a, tile, total);
}

// INT4, chunks of 128 columns: a lane has 8 bytes of a step, a word for each 16 x 16 tile, whose nibble j + 4 e is
// weight[lane / 4 + 8 (j & 1)][2 (lane % 4) + e + 8 (j >> 1)] + zero. 0x4300 | n is 128 + n in BF16, 0xc300 | zero is -(128 + zero).
// low and high: pairs of the latter, for the lane's two rows.
DEVICE void load_int4(uint32_t (&fragment)[2][4], uint32_t step, uint32_t low, uint32_t high)
{
    const uint2 words = load(shared_at<const uint2>(step) + lane_index());
    UNROLL for (int tile = 0; tile < 2; ++tile)
        UNROLL for (int j = 0; j < 4; ++j) {
            const uint32_t word = (tile == 0 ? words.x : words.y) >> (4 * j);
            fragment[tile][j] = fma_bf16(and_or(word, 0x000f000fu, 0x43004300u), 0x3f803f80u, j & 1 ? high : low);
        }
}

// INT8, chunks of 64 columns: a lane has 16 bytes of a step, two words for each 16 x 16 tile, byte p + 2 e of word j being
// weight[lane / 4 + 8 j][2 (lane % 4) + e + 8 p] + 128. Nibbles become BF16 as above: 16 (128 + high) - 2304 + (128 + low).
DEVICE void load_int8(uint32_t (&fragment)[2][4], uint32_t step)
{
    const uint4 packed = load(shared_at<const uint4>(step) + lane_index());
    const uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
    UNROLL for (int tile = 0; tile < 2; ++tile)
        UNROLL for (int j = 0; j < 4; ++j) {
            const uint32_t word = words[tile * 2 + (j & 1)] >> (8 * (j >> 1));
            const uint32_t high = fma_bf16(and_or(word >> 4, 0x000f000fu, 0x43004300u), 0x41804180u, 0xc510c510u);
            fragment[tile][j] = fma_bf16(and_or(word, 0x000f000fu, 0x43004300u), 0x3f803f80u, high);
        }
}

// factor times an unsigned byte of a word, exact where the product is: 0x4b000000 | n is 2^23 + n.
DEVICE float times_byte(float factor, uint32_t word, int byte)
{
    return fmadd(bits_float(permute_bytes(word, 0x4b000000u, 0x7440u + byte)), factor, -8388608.0f * factor);
}
DEVICE float half_to_float(uint32_t pair, int half) { return to_float(f16{static_cast<uint16_t>(pair >> (16 * half))}); }

// Bytes (1, 2 or 4) of shared memory, zero-extended.
template <int Bytes> DEVICE uint32_t load_bytes(uint32_t address)
{
    if constexpr (Bytes == 4)
        return load(shared_at<const uint32_t>(address));
    else if constexpr (Bytes == 2)
        return load(shared_at<const uint16_t>(address));
    else
        return load(shared_at<const uint8_t>(address));
}

#define MATMUL(format, Format)                                                                                                     \
    KERNEL(matmul_##format##_t8, Threads, 2, (const MatMulArguments arguments)) { matmul<Format, 1>(arguments, AllRows{}); }       \
    KERNEL(matmul_##format##_t16, Threads, 2, (const MatMulArguments arguments)) { matmul<Format, 2>(arguments, AllRows{}); }      \
    KERNEL(matmul_##format##_t32, Threads, 2, (const MatMulArguments arguments)) { matmul<Format, 4>(arguments, AllRows{}); }      \
    KERNEL(matmul_##format##_t64, Threads, 1, (const MatMulArguments arguments)) { matmul<Format, 8>(arguments, AllRows{}); }

#define EXPERT_MATMUL_KERNEL(name, Format, token_tiles, min_ctas)                                                                  \
    KERNEL(name, Threads, min_ctas, (const MatMulArguments arguments, const ExpertRows rows))                                      \
    {                                                                                                                              \
        matmul<Format, token_tiles>(arguments, rows);                                                                              \
    }
#define EXPERT_MATMUL(format, Format)                                                                                              \
    EXPERT_MATMUL_KERNEL(expert_matmul_##format##_t8, Format, 1, 2)                                                                \
    EXPERT_MATMUL_KERNEL(expert_matmul_##format##_t16, Format, 2, 2)                                                               \
    EXPERT_MATMUL_KERNEL(expert_matmul_##format##_t32, Format, 4, 2)                                                               \
    EXPERT_MATMUL_KERNEL(expert_matmul_##format##_t64, Format, 8, 1)
