// out[token][row] = sum over k of weight[row][k] * x[token][k] for 1 to 64 tokens: INT4 weights with group scales, BF16 activations.
// Floor: the weights once through memory, 33/64 bytes each at a group of 128.
//
// Weights are the MMA's A operand and tokens its N, so eight tokens cost as much tensor time as one. They are packed once at load:
// chunks of 64 rows x 256 columns, [row block][chunk], each 8192 bytes of nibbles and then 64 x 256/Group scales:
//   nibbles [strip of 16 rows: 4][64 columns: 4][lane: 32][16 columns: 4] of 32-bit words; nibble j + 4 e of a word is
//           weight[lane/4 + 8 (j & 1)][2 (lane % 4) + e + 8 (j >> 1)] of its 16 x 16 tile, plus 8
//   scales  [group: 256/Group][row: 64] BF16
// so that a lane's 16-byte load is four A fragments, and a chunk is one contiguous piece. Missing rows have scale zero.
//
// A CTA's eight warps are 4 strips x 2 halves of a chunk; the halves meet in shared memory, and the splits of K in `partial`, where
// the CTA that comes last adds them in order. How K is split depends on the weight's shape alone, so a row's bits do not depend on
// the number of tokens.
#include "device.cuh"

static constexpr int Threads = 256, BlockRows = 64, ChunkColumns = 256, NibbleBytes = BlockRows * ChunkColumns / 2;
static constexpr int TileStride = BlockRows + 4; // floats; the padding keeps the epilogue's stores free of bank conflicts

struct MatMulArguments {
    global_ptr<const uint8_t> weights;
    global_ptr<const bf16> x;          // [tokens][columns], rows x_stride elements apart, a multiple of 8; 16-byte aligned
    global_ptr<const float> bias;      // [rows], or null
    global_ptr<const bf16> residual;   // [tokens][rows], rows out_stride elements apart, or null
    global_ptr<bf16> out;              // [tokens][rows], rows out_stride elements apart
    global_ptr<float> partial;         // [row block][split][token tiles * 8][64]; unused for one split
    global_ptr<uint32_t> tickets;      // [row block], zero before and after; unused for one split
    int32_t x_stride, out_stride, tokens, rows, columns, chunks;
};

template <int TokenTiles, int Group> struct Layout {
    static constexpr int Tokens = TokenTiles * 8;
    static constexpr int ScaleBytes = BlockRows * (ChunkColumns / Group) * 2;
    static constexpr int WeightBytes = NibbleBytes + ScaleBytes;
    static constexpr int StageBytes = WeightBytes + Tokens * ChunkColumns * 2;
    // Two CTAs an SM for few tokens, within sm_89's 99 KB a CTA; docs/emulator.md names the host's copy of this formula.
    static constexpr int Stages = TokenTiles == 1 ? 8 : TokenTiles == 2 ? 6 : TokenTiles == 4 ? 4 : 2;
};

// Sends chunk `chunk` of the weights and the activations on their way to a stage.
template <class L>
DEVICE void load_stage(const MatMulArguments& a, uint32_t stage, int chunk, uint64_t policy)
{
    global_ptr<const uint8_t> weights = a.weights + (static_cast<int64_t>(block_x()) * a.chunks + chunk) * L::WeightBytes;
    UNROLL for (int i = 0; i < (L::WeightBytes + Threads * 16 - 1) / (Threads * 16); ++i) {
        const int offset = (i * Threads + thread_index()) * 16;
        if (offset < L::WeightBytes)
            copy_async_16_once(stage + offset, weights + offset, policy);
    }
    constexpr int Pieces = ChunkColumns / 8; // 16-byte pieces of a token
    UNROLL for (int i = 0; i < L::Tokens * Pieces / Threads; ++i) {
        const int index = i * Threads + thread_index(), token = index / Pieces, piece = index % Pieces;
        const int column = chunk * ChunkColumns + piece * 8, left = (a.columns - column) * 2;
        const bool inside = token < a.tokens && left > 0;
        copy_async_16(stage + L::WeightBytes + (token * Pieces + (piece ^ (token & 7))) * 16,
                      inside ? a.x + static_cast<int64_t>(token) * a.x_stride + column : a.x, inside ? (left < 16 ? left : 16) : 0);
    }
}

// The 16 x 16 tile of a packed word as four BF16 pairs: 0x4300 | n is 128 + n, and nibbles are offset by 8.
DEVICE void unpack_tile(uint32_t* fragment, uint32_t word)
{
    UNROLL for (int j = 0; j < 4; ++j)
        fragment[j] = fma_bf16(and_or(word >> (4 * j), 0x000f000fu, 0x43004300u), 0x3f803f80u, 0xc308c308u);
}

// Multiplies a warp's strip and half of a chunk.
template <int TokenTiles, int Group, class L>
DEVICE void multiply_stage(float (&sum)[TokenTiles][4], uint32_t stage)
{
    const int lane = lane_index(), strip = warp_index() & 3, half = warp_index() >> 2;
    shared_ptr<const bf16> scales = shared_at<const bf16>(stage + NibbleBytes);
    float part[TokenTiles][4] = {};
    UNROLL_BY(Group == 32 && TokenTiles == 8 ? 1 : 2) for (int i = 0; i < 2; ++i) { // registers allow no more
        const int quarter = 2 * half + i;
        const uint4 packed = load(shared_at<const uint4>(stage + ((strip * 4 + quarter) * 32 + lane) * 16));
        const uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
        UNROLL for (int pair = 0; pair < 2; ++pair) {
            uint32_t b[TokenTiles][4];
            UNROLL for (int t = 0; t < TokenTiles; ++t) {
                const int token = t * 8 + (lane & 7), piece = quarter * 8 + pair * 4 + (lane >> 3);
                load_matrix_x4(b[t], stage + L::WeightBytes + (token * (ChunkColumns / 8) + (piece ^ (token & 7))) * 16);
            }
            UNROLL for (int tile = 0; tile < 2; ++tile) {
                uint32_t fragment[4];
                unpack_tile(fragment, words[pair * 2 + tile]);
                UNROLL for (int t = 0; t < TokenTiles; ++t)
                    mma_bf16(part[t], fragment, b[t] + tile * 2);
            }
            if ((i * 64 + pair * 32 + 32) % Group == 0) {
                const int group = (quarter * 64 + pair * 32) / Group, base = group * BlockRows + strip * 16 + (lane >> 2);
                const float low = to_float(load(scales + base)), high = to_float(load(scales + base + 8));
                UNROLL for (int t = 0; t < TokenTiles; ++t)
                    UNROLL for (int e = 0; e < 4; ++e) {
                        sum[t][e] = fmadd(part[t][e], e < 2 ? low : high, sum[t][e]);
                        part[t][e] = 0.0f;
                    }
            }
        }
    }
}

// Brings the two halves together: tile[token][row] in shared memory, rows TileStride floats apart.
template <int TokenTiles> DEVICE void reduce_halves(const float (&sum)[TokenTiles][4], shared_ptr<float> tile)
{
    const int lane = lane_index(), half = warp_index() >> 2, row = (warp_index() & 3) * 16 + (lane >> 2);
    UNROLL for (int turn = 0; turn < 2; ++turn) {
        barrier();
        if (half == turn)
            UNROLL for (int t = 0; t < TokenTiles; ++t)
                UNROLL for (int e = 0; e < 4; ++e) {
                    shared_ptr<float> at = tile + (t * 8 + 2 * (lane & 3) + (e & 1)) * TileStride + row + 8 * (e >> 1);
                    store(at, turn == 0 ? sum[t][e] : load(at) + sum[t][e]);
                }
    }
    barrier();
}

// Hands this split's tile over. True in the CTA that came last, whose tile then holds the sum of all splits, added in order.
template <int Tokens> DEVICE bool reduce_splits(const MatMulArguments& a, shared_ptr<float> tile)
{
    constexpr int Vectors = Tokens * BlockRows / 4;
    const int splits = grid_y();
    shared_ptr<uint32_t> ticket = cast<uint32_t>(tile + Tokens * TileStride);
    global_ptr<float> partial = a.partial + static_cast<int64_t>(block_x()) * splits * Tokens * BlockRows;
    for (int v = thread_index(); v < Vectors; v += Threads)
        store(cast<float4>(partial) + block_y() * Vectors + v, load(cast<const float4>(tile + v / 16 * TileStride) + v % 16));
    fence_device();
    barrier();
    if (thread_index() == 0)
        store(ticket, add_acquire_release(a.tickets + block_x(), 1));
    barrier();
    if (load(ticket) != static_cast<uint32_t>(splits - 1))
        return false;
    for (int v = thread_index(); v < Vectors; v += Threads) {
        float4 total = load_shared_by_ctas(cast<const float4>(partial) + v);
        for (int split = 1; split < splits; ++split) {
            const float4 next = load_shared_by_ctas(cast<const float4>(partial) + split * Vectors + v);
            total = {total.x + next.x, total.y + next.y, total.z + next.z, total.w + next.w};
        }
        store(cast<float4>(tile + v / 16 * TileStride) + v % 16, total);
    }
    if (thread_index() == 0)
        store(a.tickets + block_x(), 0u);
    barrier();
    return true;
}

// Two rows a thread: bias and residual, rounded once. Pairs of elements where the shape allows it; the base addresses do.
template <int Tokens> DEVICE void write_out(const MatMulArguments& a, shared_ptr<const float> tile)
{
    const int row = block_x() * BlockRows + 2 * lane_index();
    const bool pairs = ((a.rows | a.out_stride) & 1) == 0;
    for (int token = warp_index(); token < a.tokens; token += Threads / 32) {
        const int64_t at = static_cast<int64_t>(token) * a.out_stride + row;
        const float2 sum = load(cast<const float2>(tile + token * TileStride) + lane_index());
        if (pairs && row < a.rows) {
            const float2 bias = a.bias != nullptr ? load(cast<const float2>(a.bias + row)) : float2{0.0f, 0.0f};
            const float2 residual = a.residual != nullptr ? unpack_bf16(load(cast<const uint32_t>(a.residual + at))) : float2{0.0f, 0.0f};
            store(cast<uint32_t>(a.out + at), pack_bf16(sum.x + bias.x + residual.x, sum.y + bias.y + residual.y));
        } else {
            UNROLL for (int e = 0; e < 2; ++e)
                if (row + e < a.rows) {
                    const float bias = a.bias != nullptr ? load(a.bias + row + e) : 0.0f;
                    const float residual = a.residual != nullptr ? to_float(load(a.residual + at + e)) : 0.0f;
                    store(a.out + at + e, to_bf16((e == 0 ? sum.x : sum.y) + bias + residual));
                }
        }
    }
}

template <int TokenTiles, int Group> DEVICE void matmul_w4a16(const MatMulArguments& a)
{
    using L = Layout<TokenTiles, Group>;
    const int first = static_cast<int>(static_cast<int64_t>(a.chunks) * block_y() / grid_y());
    const int last = static_cast<int>(static_cast<int64_t>(a.chunks) * (block_y() + 1) / grid_y());
    const uint64_t policy = evict_first_policy();
    dependency_wait();
    UNROLL for (int s = 0; s < L::Stages - 1; ++s) {
        if (first + s < last)
            load_stage<L>(a, shared_base() + s * L::StageBytes, first + s, policy);
        copy_async_commit();
    }
    float sum[TokenTiles][4] = {};
    int reading = 0, writing = L::Stages - 1;
    NO_UNROLL for (int chunk = first; chunk < last; ++chunk) {
        copy_async_wait<L::Stages - 2>();
        barrier();
        if (chunk + L::Stages - 1 < last)
            load_stage<L>(a, shared_base() + writing * L::StageBytes, chunk + L::Stages - 1, policy);
        copy_async_commit();
        multiply_stage<TokenTiles, Group, L>(sum, shared_base() + reading * L::StageBytes);
        reading = reading + 1 == L::Stages ? 0 : reading + 1;
        writing = writing + 1 == L::Stages ? 0 : writing + 1;
    }
    launch_dependents();
    copy_async_wait<0>();
    shared_ptr<float> tile = shared_at<float>(shared_base());
    reduce_halves<TokenTiles>(sum, tile);
    if (grid_y() == 1 || reduce_splits<L::Tokens>(a, tile))
        write_out<L::Tokens>(a, tile);
}

#define MATMUL(name, token_tiles, group)                                                                                        \
    KERNEL(name, Threads, (token_tiles) == 8 ? 1 : 2, (const MatMulArguments arguments)) { matmul_w4a16<token_tiles, group>(arguments); }
MATMUL(matmul_w4a16_t8_g128, 1, 128)
MATMUL(matmul_w4a16_t16_g128, 2, 128)
MATMUL(matmul_w4a16_t32_g128, 4, 128)
MATMUL(matmul_w4a16_t64_g128, 8, 128)
MATMUL(matmul_w4a16_t8_g64, 1, 64)
MATMUL(matmul_w4a16_t16_g64, 2, 64)
MATMUL(matmul_w4a16_t32_g64, 4, 64)
MATMUL(matmul_w4a16_t64_g64, 8, 64)
MATMUL(matmul_w4a16_t8_g32, 1, 32)
MATMUL(matmul_w4a16_t16_g32, 2, 32)
MATMUL(matmul_w4a16_t32_g32, 4, 32)
MATMUL(matmul_w4a16_t64_g32, 8, 32)
