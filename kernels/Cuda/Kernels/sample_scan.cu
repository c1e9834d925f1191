// First pass of sampling: each row's largest logit, before and after edits, which is all that a greedy row needs; the most likely
// tokens where asked for; and how heavy a token must be to belong to the head that sample_weigh.cu collects.
// Floor: the logits once through memory. grid: slices x rows.
//
// The CTA that finishes a row's last slice sums the row up.
#include "sampling.cuh"

static constexpr int Held = SliceWidth / ScanThreads;
// Shared memory: keys of the warps, their most likely tokens, a flag; where rows have edits also the slice and its counts.
static constexpr uint32_t KeysAt = 0, TopsAt = KeysAt + ScanWarps * 8, FlagAt = TopsAt + ScanWarps * MaxTops * 8, SliceAt = FlagAt + 16,
                          CountsAt = SliceAt + SliceWidth * 4;

DEVICE uint64_t largest(const float* value, int first)
{
    float most = value[0];
    bool ordinary = value[0] == value[0];
    UNROLL for (int i = 1; i < Held; ++i) {
        most = maximum(most, value[i]);
        ordinary = ordinary && value[i] == value[i];
    }
    int column = 0;
    UNROLL for (int i = Held - 1; i >= 0; --i)
        column = value[i] == most ? column_of<ScanThreads>(i / 4) + i % 4 : column;
    return logit_key(ordinary ? most : not_a_number(), first + column);
}

// The slice's largest logits above -infinity: each warp extracts its own, then a key's rank among all of them is its place.
DEVICE void write_tops(const float* value, int first, int count, global_ptr<uint64_t> to)
{
    const shared_ptr<uint64_t> tops = shared_at<uint64_t>(shared_base() + TopsAt);
    uint64_t last = ~0ull;
    NO_UNROLL for (int place = 0; place < count; ++place) {
        uint64_t best = 0;
        UNROLL for (int i = 0; i < Held; ++i) {
            const uint64_t key = value[i] > -infinity() ? logit_key(value[i], first + column_of<ScanThreads>(i / 4) + i % 4) : 0;
            best = key < last && key > best ? key : best;
        }
        last = warp_max_key(best);
        if (lane_index() == 0)
            store(tops + warp_index() * count + place, last);
    }
    if (thread_index() < count)
        store(to + thread_index(), uint64_t{0});
    barrier();
    if (thread_index() >= ScanWarps * count)
        return;
    const uint64_t own = load(tops + thread_index());
    int rank = 0;
    for (int i = 0; i < ScanWarps * count; ++i)
        rank += load(tops + i) > own ? 1 : 0;
    if (own != 0 && rank < count)
        store(to + rank, own);
}

// A logit that at least `count` of the keys reach, or a NaN where fewer are finite. It need not be the largest such logit: each
// warp's best of each slice stands for the row, and half of the bits suffice.
DEVICE float reached_by(int count, global_ptr<const uint64_t> keys, int key_count)
{
    uint32_t bound = 0;
    NO_UNROLL for (uint32_t bit = 1u << 31; bit >= 1u << 16; bit >>= 1) {
        const uint32_t higher = bound | bit;
        int reached = 0;
        for (int i = lane_index(); i < key_count; i += 32)
            reached += load(keys + i) >> 32 >= higher ? 1 : 0;
        if (warp_add(reached) >= count)
            bound = higher;
    }
    return unordered(bound);
}

DEVICE float head_weight(const SamplingStep& step, const SamplingRow& r, int row, float max)
{
    const int keys = step.slices * ScanWarps;
    if (step.vocabulary <= HeadCapacity)
        return 0.0f;
    if (r.top_k == 0 || r.top_k > keys)
        return HeadWeight;
    const float logit = reached_by(r.top_k, global_ptr<const uint64_t>(step.keys + static_cast<int64_t>(row) * keys), keys);
    return logit > -infinity() ? weight_of(logit, max, r.temperature) : 0.0f;
}

// By one warp.
DEVICE void sum_up(const SamplingStep& step, const SamplingRow& r, int row)
{
    uint64_t untouched = 0, own = 0;
    for (int i = lane_index(); i < step.slices; i += 32) {
        const uint64_t key = load(step.untouched_keys + static_cast<int64_t>(row) * step.slices + i);
        untouched = key > untouched ? key : untouched;
    }
    for (int i = lane_index(); i < step.slices * ScanWarps; i += 32) {
        const uint64_t key = load(step.keys + static_cast<int64_t>(row) * step.slices * ScanWarps + i);
        own = key > own ? key : own;
    }
    untouched = warp_max_key(untouched);
    own = warp_max_key(own);
    const float untouched_max = unordered(static_cast<uint32_t>(untouched >> 32)), max = unordered(static_cast<uint32_t>(own >> 32));
    const bool possible = is_finite(untouched_max), chooses = possible && r.target < 0 && is_finite(max);
    const bool draws = chooses && r.temperature != 0.0f;
    const float head = draws ? head_weight(step, r, row, max) : 0.0f;
    if (lane_index() != 0)
        return;
    const float nan = not_a_number();
    store(step.summaries + row, float4{possible ? untouched_max : nan, draws ? max : nan, head, 0.0f});
    store(step.results + row, possible && r.target >= 0 ? r.target : chooses && !draws ? key_id(own) : -1);
    store(step.counters + 2 * row, 0u);
    store(step.counters + 2 * row + 1, 0u);
}

KERNEL(sample_scan, ScanThreads, 4, (SamplingStep step))
{
    const uint32_t shared = shared_base();
    const int slice = block_x(), row = block_y(), first = slice * SliceWidth;
    dependency_wait();
    const SamplingRow r = load(step.rows + row);
    float value[Held];
    load_slice<ScanThreads>(value, step, row, first);
    launch_dependents();

    const uint64_t untouched = warp_max_key(largest(value, first));
    const int64_t place = static_cast<int64_t>(row) * step.slices + slice;
    if (r.top_log_probs > 0)
        write_tops(value, first, r.top_log_probs, step.top_keys + place * MaxTops);
    uint64_t own = untouched;
    if (is_edited(r)) {
        edit_slice<ScanThreads>(value, step, r, first, shared_at<float>(shared + SliceAt), shared_at<uint32_t>(shared + CountsAt));
        own = warp_max_key(largest(value, first));
    }
    const shared_ptr<uint64_t> keys = shared_at<uint64_t>(shared + KeysAt);
    if (lane_index() == 0) {
        store(keys + warp_index(), untouched);
        store(step.keys + place * ScanWarps + warp_index(), own);
    }
    barrier();
    const shared_ptr<uint32_t> is_last = shared_at<uint32_t>(shared + FlagAt);
    if (thread_index() == 0) {
        uint64_t most = untouched;
        for (int warp = 1; warp < ScanWarps; ++warp)
            most = load(keys + warp) > most ? load(keys + warp) : most;
        store(step.untouched_keys + place, most);
        store(is_last, add_acquire_release(step.counters + 2 * row, 1u) == static_cast<uint32_t>(step.slices - 1) ? 1u : 0u);
    }
    barrier();
    if (warp_index() == 0 && load(is_last) != 0)
        sum_up(step, r, row);
}
