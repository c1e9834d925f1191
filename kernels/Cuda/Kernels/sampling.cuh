// What the three kernels of sampling share. A row of logits is cut into slices of 4096 columns; sample_scan.cu and sample_weigh.cu
// give each slice a CTA, sample_choose.cu a CTA to each row. Everything that slices are combined by is a maximum or a sum of
// integers, so no result depends on the order of CTAs or threads, or on other rows.
//
// A token's weight is e^((logit - max) / temperature) in F32, bit for bit as the CPU computes it, and counts as an integer of
// 2^-63: exactly down to weights of 2^-40, truncated below, where the CPU's sums in double precision round as well.
#pragma once
#include "device.cuh"

static constexpr int SliceWidth = 4096;
static constexpr int ScanThreads = 256, ScanWarps = ScanThreads / 32;
static constexpr int ChooseThreads = 512;
static constexpr int MaxTops = 20;
// Tokens of a row's head, the heaviest ones, which are searched without reading the row again.
static constexpr int HeadCapacity = 8192;
// Where no top-k says how many tokens matter: the head's least weight. What lies below is about e^-8.3 as likely as the first.
static constexpr float HeadWeight = 0x1p-12f;
// Numbers of a slice's sums: weights of the untouched logits, weights of the tail, and the tail's tokens.
static constexpr int SliceSums = 5;

DEVICE float infinity() { return bits_float(0x7f800000u); }
DEVICE float not_a_number() { return bits_float(0x7fffffffu); }
static constexpr uint32_t InPrompt = 1u << 30;

// Mirrors SamplingRowData.cs.
struct SamplingRow {
    uint64_t seed, counter;
    float temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
    int top_k, target;
    int tokens, token_count, prompt_length; // in `lists`, as are the next two
    int biases, bias_count;                 // ids, then as many values
    int bans, ban_count;
    int log_prob;                           // index in `results`, or -1
    int top_log_probs, tops;                // how many, and their index in `results`: ids, then as many values
};

// Mirrors SamplingStep.cs.
struct SamplingStep {
    global_ptr<const float> logits;      // [rows][row_stride]
    global_ptr<const SamplingRow> rows;
    global_ptr<const int> lists;
    global_ptr<int> results;             // [rows] token ids, then what the rows ask for
    global_ptr<const int> chosen;        // results of the step before, which are elsewhere; ~i in a row's tokens is chosen[i]
    global_ptr<float4> summaries;        // [rows] x: largest logit, y: largest edited logit, z: least weight of the head
    global_ptr<uint32_t> counters;       // [rows][2] slices that are done, tokens of the head; the first is 0 between steps
    global_ptr<uint64_t> untouched_keys; // [rows][slices] largest logit, smallest id
    global_ptr<uint64_t> keys;           // [rows][slices][ScanWarps] the same of each warp, after edits
    global_ptr<uint64_t> top_keys;       // [rows][slices][MaxTops] descending, 0 past the last
    global_ptr<uint64_t> sums;           // [rows][slices][SliceSums]
    global_ptr<uint64_t> head;           // [rows][HeadCapacity] token_key
    int row_stride, vocabulary, slices, aligned;
};

// The same order as the numbers', with both zeros equal and NaN above all.
DEVICE uint32_t ordered(float value)
{
    const uint32_t bits = float_bits(value + 0.0f);
    return value != value ? 0xffffffffu : bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
DEVICE float unordered(uint32_t key) { return bits_float(key & 0x80000000u ? key & 0x7fffffffu : ~key); }
DEVICE bool is_finite(float value) { return absolute(value) < infinity(); }

// Larger for a larger logit, then for a smaller id.
DEVICE uint64_t logit_key(float logit, int id) { return static_cast<uint64_t>(ordered(logit)) << 32 | ~static_cast<uint32_t>(id); }
DEVICE int key_id(uint64_t key) { return static_cast<int>(~static_cast<uint32_t>(key)); }

DEVICE uint64_t warp_max_key(uint64_t key)
{
    const uint32_t high = static_cast<uint32_t>(key >> 32), most = warp_max(high);
    return static_cast<uint64_t>(most) << 32 | warp_max(high == most ? static_cast<uint32_t>(key) : 0u);
}

// e^x for x <= 0: VectorMath.Exp of the CPU backend, operation by operation.
DEVICE float exponential(float x)
{
    constexpr float Lowest = -87.3f, RoundingMagic = 12582912.0f;
    const float clamped = maximum(Lowest, x);
    const float shifted = fmadd(clamped, 1.442695041f, RoundingMagic);
    const float n = shifted - RoundingMagic;
    const float r = fmadd(n, 2.12194440e-4f, fmadd(n, -0.693359375f, clamped));
    float p = fmadd(1.0f / 5040, r, 1.0f / 720);
    p = fmadd(p, r, 1.0f / 120);
    p = fmadd(p, r, 1.0f / 24);
    p = fmadd(p, r, 1.0f / 6);
    p = fmadd(p, r, 1.0f / 2);
    p = fmadd(p, r, 1.0f);
    p = fmadd(p, r, 1.0f);
    return x < Lowest ? 0.0f : p * bits_float((float_bits(shifted) << 23) + (127u << 23));
}
DEVICE float weight_of(float logit, float max, float temperature) { return exponential((logit - max) / temperature); }

// A sum of weights in units of 2^-63.
struct Mass {
    uint64_t high, low;
};
DEVICE Mass operator+(Mass a, Mass b)
{
    const uint64_t low = a.low + b.low;
    return {a.high + b.high + (low < a.low ? 1u : 0u), low};
}
DEVICE bool operator<(Mass a, Mass b) { return a.high < b.high || (a.high == b.high && a.low < b.low); }
DEVICE Mass mass_of(float weight) { return {0, static_cast<uint64_t>(weight * 0x1p63f)}; }
DEVICE double to_double(Mass mass) { return static_cast<double>(mass.high) * 2.0 + static_cast<double>(mass.low) * 0x1p-63; }
DEVICE Mass warp_sum(Mass mass)
{
    UNROLL for (int lanes = 16; lanes > 0; lanes >>= 1)
        mass = mass + Mass{shuffle_xor(mass.high, lanes), shuffle_xor(mass.low, lanes)};
    return mass;
}

// Ascending: descending weight, then ascending id. 30 bits of weight above 20 bits of id.
DEVICE uint64_t token_key(float weight, int id)
{
    return static_cast<uint64_t>(0x3f8fffffu - float_bits(weight)) << 20 | static_cast<uint32_t>(id);
}

DEVICE bool is_edited(const SamplingRow& r) { return r.token_count + r.bias_count + r.ban_count > 0; }

// Element 4 v + i of a thread lies in this column of the slice, plus i.
template <int Threads> DEVICE int column_of(int v) { return (v * Threads + thread_index()) * 4; }

// A slice of a row, -infinity past the row's end.
template <int Threads> DEVICE void load_slice(float* to, const SamplingStep& step, int row, int first)
{
    const global_ptr<const float> logits = step.logits + static_cast<int64_t>(row) * step.row_stride;
    UNROLL for (int v = 0; v < SliceWidth / Threads / 4; ++v) {
        const int column = first + column_of<Threads>(v);
        if (step.aligned && column + 4 <= step.vocabulary) {
            const float4 four = load(cast<const float4>(logits + column));
            to[4 * v] = four.x;
            to[4 * v + 1] = four.y;
            to[4 * v + 2] = four.z;
            to[4 * v + 3] = four.w;
        } else {
            UNROLL for (int i = 0; i < 4; ++i)
                to[4 * v + i] = column + i < step.vocabulary ? load(logits + column + i) : -infinity();
        }
    }
}

DEVICE float penalize(const SamplingRow& r, float logit, uint32_t count)
{
    if (count == 0)
        return logit;
    const uint32_t occurrences = count & ~InPrompt;
    // The CPU rounds each product; a fused multiply-add would not.
    logit = logit > 0.0f ? logit / r.repetition_penalty : product(logit, r.repetition_penalty);
    logit -= product(static_cast<float>(occurrences), r.frequency_penalty);
    return occurrences > 0 ? logit - r.presence_penalty : logit;
}

// Bias, bans and penalties, in LogitEdits.cs's order. Called by all threads.
// logits, counts: [SliceWidth] in shared memory.
template <int Threads>
DEVICE void edit_slice(float* value, const SamplingStep& step, const SamplingRow& r, int first, shared_ptr<float> logits, shared_ptr<uint32_t> counts)
{
    constexpr int Vectors = SliceWidth / Threads / 4;
    const int thread = thread_index();
    barrier(); // of an earlier slice, all have read
    UNROLL for (int v = 0; v < Vectors; ++v) {
        store(cast<float4>(logits + column_of<Threads>(v)), float4{value[4 * v], value[4 * v + 1], value[4 * v + 2], value[4 * v + 3]});
        store(cast<uint4>(counts + column_of<Threads>(v)), uint4{0, 0, 0, 0});
    }
    barrier();
    // A column belongs to one thread here, since an id can have several biases, which add up in order.
    for (int i = 0; i < r.bias_count; ++i) {
        const uint32_t column = static_cast<uint32_t>(load(step.lists + r.biases + i) - first);
        if (column < SliceWidth && column % Threads == static_cast<uint32_t>(thread)) {
            const float bias = bits_float(static_cast<uint32_t>(load(step.lists + r.biases + r.bias_count + i)));
            store(logits + column, load(logits + column) + bias);
        }
    }
    for (int i = 0; i < r.ban_count; ++i) {
        const uint32_t column = static_cast<uint32_t>(load(step.lists + r.bans + i) - first);
        if (column < SliceWidth && column % Threads == static_cast<uint32_t>(thread))
            store(logits + column, -infinity());
    }
    for (int i = thread; i < r.prompt_length; i += Threads) {
        const uint32_t column = static_cast<uint32_t>(load(step.lists + r.tokens + i) - first);
        if (column < SliceWidth)
            store(counts + column, InPrompt);
    }
    barrier();
    for (int i = r.prompt_length + thread; i < r.token_count; i += Threads) {
        const int token = load(step.lists + r.tokens + i);
        // -1, where nothing could be chosen, is no column either.
        const uint32_t column = static_cast<uint32_t>((token >= 0 ? token : load(step.chosen + ~token)) - first);
        if (column < SliceWidth)
            atomic_add(counts + column, 1u);
    }
    barrier();
    UNROLL for (int v = 0; v < Vectors; ++v) {
        const float4 four = load(cast<float4>(logits + column_of<Threads>(v)));
        const uint4 count = load(cast<uint4>(counts + column_of<Threads>(v)));
        value[4 * v] = penalize(r, four.x, count.x);
        value[4 * v + 1] = penalize(r, four.y, count.y);
        value[4 * v + 2] = penalize(r, four.z, count.z);
        value[4 * v + 3] = penalize(r, four.w, count.w);
    }
}
