// Second pass of sampling, for rows that draw or report: the sum of e^(logit - max) over the untouched logits, the keys of the
// head's tokens, and the number and weight of the tail's. Tokens below min-p are left out.
// Floor: the logits once through memory (mostly L2, as sample_scan.cu has just read them), and an exponential a logit: some 25
// instructions, so that a 128k row costs an SM 25 us and the slices are spread over all of them. grid: slices x rows.
#include "sampling.cuh"

static constexpr int Held = SliceWidth / ScanThreads;
// Shared memory: the warps' sums, the number of the head's tokens; where rows have edits also the slice and its counts.
static constexpr uint32_t SumsAt = 0, HeadAt = SumsAt + ScanWarps * SliceSums * 8, SliceAt = HeadAt + 16, CountsAt = SliceAt + SliceWidth * 4;

DEVICE Mass untouched_mass(const float* value, float max)
{
    Mass sum{0, 0};
    UNROLL for (int i = 0; i < Held; ++i)
        sum = sum + mass_of(exponential(value[i] - max));
    return sum;
}

// Sums over the CTA, by its first thread to global memory.
DEVICE void write_sums(Mass untouched, Mass tail, int tail_count, global_ptr<uint64_t> to)
{
    const shared_ptr<uint64_t> sums = shared_at<uint64_t>(shared_base() + SumsAt);
    untouched = warp_sum(untouched);
    tail = warp_sum(tail);
    tail_count = warp_add(tail_count);
    if (lane_index() == 0) {
        const shared_ptr<uint64_t> own = sums + warp_index() * SliceSums;
        store(own, untouched.high);
        store(own + 1, untouched.low);
        store(own + 2, tail.high);
        store(own + 3, tail.low);
        store(own + 4, static_cast<uint64_t>(tail_count));
    }
    barrier();
    if (thread_index() != 0)
        return;
    uint64_t count = static_cast<uint64_t>(tail_count);
    for (int warp = 1; warp < ScanWarps; ++warp) {
        const shared_ptr<uint64_t> other = sums + warp * SliceSums;
        untouched = untouched + Mass{load(other), load(other + 1)};
        tail = tail + Mass{load(other + 2), load(other + 3)};
        count += load(other + 4);
    }
    store(to, untouched.high);
    store(to + 1, untouched.low);
    store(to + 2, tail.high);
    store(to + 3, tail.low);
    store(to + 4, count);
}

// Appends to the row's head, in any order. Tokens past its capacity are only counted. Called by all threads.
DEVICE void append(const float* weight, uint32_t chosen, int first, global_ptr<uint32_t> head_count, global_ptr<uint64_t> head)
{
    const shared_ptr<uint32_t> counter = shared_at<uint32_t>(shared_base() + HeadAt);
    if (thread_index() == 0)
        store(counter, 0u);
    barrier();
    const uint32_t own = static_cast<uint32_t>(bit_count(chosen));
    uint32_t at = own > 0 ? atomic_add(counter, own) : 0;
    barrier();
    if (thread_index() == 0) {
        const uint32_t all = load(counter);
        store(counter, all > 0 ? atomic_add(head_count, all) : 0u);
    }
    barrier();
    at += load(counter);
    UNROLL for (int i = 0; i < Held; ++i)
        if (chosen >> i & 1) {
            if (at < HeadCapacity)
                store(head + at, token_key(weight[i], first + column_of<ScanThreads>(i / 4) + i % 4));
            ++at;
        }
}

KERNEL(sample_weigh, ScanThreads, 4, (SamplingStep step))
{
    const uint32_t shared = shared_base();
    const int slice = block_x(), row = block_y(), first = slice * SliceWidth;
    dependency_wait();
    launch_dependents();
    const SamplingRow r = load(step.rows + row);
    const float4 summary = load(step.summaries + row);
    const bool draws = summary.y == summary.y, reports = summary.x == summary.x && (r.log_prob >= 0 || r.top_log_probs > 0);
    if (!draws && !reports)
        return;
    float value[Held];
    load_slice<ScanThreads>(value, step, row, first);
    const Mass untouched = reports ? untouched_mass(value, summary.x) : Mass{0, 0};
    Mass tail{0, 0};
    int tail_count = 0;
    uint32_t chosen = 0;
    if (draws) {
        if (is_edited(r))
            edit_slice<ScanThreads>(value, step, r, first, shared_at<float>(shared + SliceAt), shared_at<uint32_t>(shared + CountsAt));
        UNROLL for (int i = 0; i < Held; ++i) {
            value[i] = weight_of(value[i], summary.y, r.temperature);
            const bool kept = value[i] > 0.0f && value[i] >= r.min_p, is_head = kept && value[i] >= summary.z;
            chosen |= is_head ? 1u << i : 0u;
            tail = kept && !is_head ? tail + mass_of(value[i]) : tail;
            tail_count += kept && !is_head ? 1 : 0;
        }
    }
    const int64_t place = static_cast<int64_t>(row) * step.slices + slice;
    write_sums(untouched, tail, tail_count, step.sums + place * SliceSums);
    if (draws)
        append(value, chosen, first, step.counters + 2 * row + 1, step.head + static_cast<int64_t>(row) * HeadCapacity);
}
