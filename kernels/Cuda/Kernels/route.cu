// Mixtures of experts: which experts a token goes to, the order in which its rows are computed, and the sum of what they give.
//
// Floors: the logits once; the choices once an expert, from L2; the experts' rows and the residual once.
//
// A choice is a token with one of its experts: choice = token * per_token + i. Choices sorted by expert, then by token, are the
// assignments, the rows that matmul.cuh computes in tiles of one expert each.
#include "device.cuh"
#include "vectors.cuh"

static constexpr int RouteThreads = 128, SortThreads = 256, CombineThreads = 128;

// Orders logits as their keys, NaN as minus infinity, the two zeros as one; of equal logits the lower expert has the larger key.
// No key is zero or all ones.
DEVICE uint64_t key_of(float logit, int expert)
{
    const uint32_t bits = float_bits(logit == logit ? logit + 0.0f : bits_float(0xff800000u));
    const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return static_cast<uint64_t>(ordered) << 32 | (0xfffffffeu - expert);
}
DEVICE int expert_of(uint64_t key)
{
    return static_cast<int>(0xfffffffeu - static_cast<uint32_t>(key));
}

DEVICE uint64_t warp_largest(uint64_t key)
{
    UNROLL for (int lanes = 16; lanes > 0; lanes >>= 1) {
        const uint64_t other = shuffle_xor(key, lanes);
        key = other > key ? other : key;
    }
    return key;
}

// e^value, to about 2 ulp.
DEVICE float exponential(float value) { return exp2_approx(value * 1.4426950408889634f); }

// The per_token (at most 32) likeliest experts of a token, likeliest first, and their shares of a softmax over those chosen or over
// all. A warp a token; lane i keeps choice i. A search looks for the largest key below the last one.
KERNEL(route, RouteThreads, 4,
       (global_ptr<const float> logits, int logits_stride, int tokens, int experts, int per_token, int renormalize,
        global_ptr<float> weights, global_ptr<int32_t> choices))
{
    dependency_wait();
    const int token = block_x() * (RouteThreads / 32) + warp_index(), lane = lane_index();
    if (token >= tokens)
        return;
    const global_ptr<const float> row = logits + static_cast<int64_t>(token) * logits_stride;
    uint64_t last = ~0ull, own = 0;
    for (int i = 0; i < per_token; ++i) {
        uint64_t best = 0;
        for (int expert = lane; expert < experts; expert += 32) {
            const uint64_t key = key_of(load(row + expert), expert);
            best = key < last && key > best ? key : best;
        }
        last = warp_largest(best);
        own = lane == i ? last : own;
    }
    const int chosen = lane < per_token ? expert_of(own) : 0;
    const float largest = load(row + shuffle(chosen, 0));
    const float share = lane < per_token ? exponential(load(row + chosen) - largest) : 0.0f;
    float sum = share;
    if (!renormalize) {
        sum = 0.0f;
        for (int expert = lane; expert < experts; expert += 32)
            sum += exponential(load(row + expert) - largest);
    }
    sum = warp_sum(sum);
    if (lane < per_token) {
        store(weights + token * per_token + lane, share / sum);
        store(choices + token * per_token + lane, chosen);
    }
}

// The sum over the CTA, in every thread. Uses scratch[0 .. 8).
DEVICE int cta_sum(int value, shared_ptr<uint32_t> scratch)
{
    value = warp_add(value);
    barrier();
    if (lane_index() == 0)
        store(scratch + warp_index(), static_cast<uint32_t>(value));
    barrier();
    int sum = 0;
    UNROLL for (int warp = 0; warp < SortThreads / 32; ++warp)
        sum += static_cast<int>(load(scratch + warp));
    return sum;
}

DEVICE int tiles_of(int rows, int tile_rows) { return (rows + tile_rows - 1) / tile_rows; }

// Sorts the choices. A CTA an expert: it counts the choices of all, then gives its own their places in the order of tokens, and writes
// its tiles: [tile_count] expert, first assignment, assignments. The last expert's CTA empties the tiles that are not needed.
// Shared memory: 8 words, then one an expert.
KERNEL(sort_choices, SortThreads, 4,
       (global_ptr<const int32_t> choices, int count, int per_token, int experts, global_ptr<int32_t> assignment_of_choice,
        global_ptr<int32_t> token_of_assignment, global_ptr<uint4> tiles, int tile_rows, int tile_count))
{
    dependency_wait();
    const int own = block_x(), thread = thread_index();
    const shared_ptr<uint32_t> scratch = shared_at<uint32_t>(shared_base()), counts = scratch + SortThreads / 32;
    for (int expert = thread; expert < experts; expert += SortThreads)
        store(counts + expert, 0u);
    barrier();
    for (int choice = thread; choice < count; choice += SortThreads)
        atomic_add(counts + load(choices + choice), 1u);
    barrier();
    int before = 0, tiles_before = 0;
    for (int expert = thread; expert < own; expert += SortThreads) {
        const int rows = static_cast<int>(load(counts + expert));
        before += rows;
        tiles_before += tiles_of(rows, tile_rows);
    }
    before = cta_sum(before, scratch);
    tiles_before = cta_sum(tiles_before, scratch);

    const int rows = static_cast<int>(load(counts + own)), own_tiles = tiles_of(rows, tile_rows);
    const int end = own + 1 == experts ? tile_count - tiles_before : own_tiles;
    for (int tile = thread; tile < end; tile += SortThreads) {
        const int first = tile * tile_rows, left = tile < own_tiles ? rows - first : 0;
        store(tiles + tiles_before + tile,
              uint4{static_cast<uint32_t>(own), static_cast<uint32_t>(before + first), static_cast<uint32_t>(left < tile_rows ? left : tile_rows), 0u});
    }

    int next = before;
    for (int first = 0; first < count; first += SortThreads) {
        const int choice = first + thread;
        const uint32_t mine = warp_ballot(choice < count && load(choices + (choice < count ? choice : 0)) == own);
        barrier();
        if (lane_index() == 0)
            store(scratch + warp_index(), static_cast<uint32_t>(bit_count(mine)));
        barrier();
        int place = next;
        UNROLL for (int warp = 0; warp < SortThreads / 32; ++warp) {
            const int own_count = static_cast<int>(load(scratch + warp));
            place += warp < warp_index() ? own_count : 0;
            next += own_count;
        }
        if (mine >> lane_index() & 1) {
            place += bit_count(mine & ((1u << lane_index()) - 1));
            store(assignment_of_choice + choice, place);
            store(token_of_assignment + place, choice / per_token);
        }
    }
}

// out[token] = (sum over i, in order, of weight[token][i] * rows[assignment of choice i]) + residual[token]. A CTA a token.
KERNEL(combine_experts, CombineThreads, 4,
       (global_ptr<const float> rows, int rows_stride, global_ptr<const float> weights, global_ptr<const int32_t> assignment_of_choice,
        int per_token, global_ptr<const float> residual, int residual_stride, global_ptr<float> out, int out_stride, int width))
{
    dependency_wait();
    const int first = block_x() * per_token;
    residual += static_cast<int64_t>(block_x()) * residual_stride;
    out += static_cast<int64_t>(block_x()) * out_stride;
    const bool aligned = ((width | rows_stride | residual_stride | out_stride) % Lanes) == 0;
    NO_UNROLL for (int column = thread_index() * Lanes; column < width; column += CombineThreads * Lanes) {
        float sum[Lanes] = {};
        UNROLL_BY(2) for (int i = 0; i < per_token; ++i) {
            const float weight = load(weights + first + i);
            float row[Lanes];
            load_vector<float>(row, rows + static_cast<int64_t>(load(assignment_of_choice + first + i)) * rows_stride, column, width, aligned);
            UNROLL for (int lane = 0; lane < Lanes; ++lane)
                sum[lane] = fmadd(weight, row[lane], sum[lane]);
        }
        float other[Lanes];
        load_vector<float>(other, residual, column, width, aligned);
        UNROLL for (int lane = 0; lane < Lanes; ++lane)
            sum[lane] += other[lane];
        store_vector<float>(out, sum, column, width, aligned);
    }
}
