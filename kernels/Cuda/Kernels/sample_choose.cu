// Last pass of sampling: top-k, top-p and the draw, and log-probabilities. grid: rows.
// Floor: the head's keys once, for most rows some hundred.
//
// All three cuts are one search: tokens in descending order of weight (ascending id among equals), up to the first place where a
// count or a cumulative weight is reached. It reads off ten bits of the token's key at a time, from a histogram of the tokens that
// share the bits before: first the buckets of eight an octave, then the rest of the weight, then the id. The histogram counts
// tokens and adds up mantissas, all in integers, since tokens of a bucket share their exponent.
// A search that ends below the head, or a head that is too large for its list, costs passes over the whole row.
#include "sampling.cuh"

static constexpr int Held = SliceWidth / ChooseThreads;
static constexpr int Bins = 1024, DigitBits = 10, FirstShift = 40, WeightDigits = 3, Digits = 5, IdBits = 20;
static constexpr int Warps = ChooseThreads / 32, BinsPerWarp = Bins / Warps;
static_assert(BinsPerWarp == 64, "a lane has two bins");
// Shared memory: the histograms of the first digit and of another one, a slice and its counts, what warps counted, what a search
// found.
static constexpr uint32_t HistogramBytes = 3 * Bins * 4, FirstAt = 0, OtherAt = HistogramBytes, SliceAt = 2 * HistogramBytes,
                          CountsAt = SliceAt + SliceWidth * 4, WarpsAt = CountsAt + SliceWidth * 4, FoundAt = WarpsAt + Warps * 24;

DEVICE uint32_t any_count() { return 0xffffffffu; }
DEVICE Mass any_mass() { return {~0ull, ~0ull}; }

// So many tokens of so much weight have been passed.
struct Position {
    uint32_t count;
    Mass mass;
};
DEVICE Position operator+(Position a, Position b) { return {a.count + b.count, a.mass + b.mass}; }

struct Place {
    Position position;
    int token;
};

// Where a search ends: as soon as so many tokens have been passed or their weights reach so much.
struct Goal {
    uint32_t count;
    Mass mass;
};
DEVICE bool reaches(Position position, Goal goal) { return position.count >= goal.count || !(position.mass < goal.mass); }

// The bin in which a search ends, what it holds, and the position before it; -1 and the position after all bins where none does.
struct Found {
    Position before, content;
    int bin, reserved;
};

struct Search {
    SamplingRow r;
    int row;
    float max;
    global_ptr<uint64_t> list;
    uint32_t listed;
    bool from_row; // the first histogram counts the row's tokens, and the list holds one of its buckets; else the list's
    bool is_filled; // the first histogram
    int bucket;     // the list's, -1 for none yet
};

// The mantissa with its leading one, less the bits below 2^-63; mass_of is this, shifted left by mass_shift.
DEVICE uint32_t mantissa(uint32_t bits)
{
    const int below = 87 - static_cast<int>(bits >> 23);
    return below >= 32 ? 0 : ((bits & 0x7fffffu) | 0x800000u) >> (below > 0 ? below : 0);
}
DEVICE int mass_shift(uint32_t bits) { return bits >> 23 > 87 ? static_cast<int>(bits >> 23) - 87 : 0; }
DEVICE uint32_t weight_bits(uint64_t key) { return 0x3f8fffffu - static_cast<uint32_t>(key >> IdBits); }

template <class Visitor> DEVICE void visit_list(const Search& s, Visitor visit)
{
    for (uint32_t i = static_cast<uint32_t>(thread_index()); i < s.listed; i += ChooseThreads)
        visit(load(s.list + i));
}
template <class Visitor> DEVICE void visit_row(const SamplingStep& step, const Search& s, Visitor visit)
{
    const uint32_t shared = shared_base();
    NO_UNROLL for (int first = 0; first < step.vocabulary; first += SliceWidth) {
        float value[Held];
        load_slice<ChooseThreads>(value, step, s.row, first);
        if (is_edited(s.r))
            edit_slice<ChooseThreads>(value, step, s.r, first, shared_at<float>(shared + SliceAt), shared_at<uint32_t>(shared + CountsAt));
        UNROLL for (int i = 0; i < Held; ++i) {
            const float weight = weight_of(value[i], s.max, s.r.temperature);
            if (weight > 0.0f && weight >= s.r.min_p)
                visit(token_key(weight, first + column_of<ChooseThreads>(i / 4) + i % 4));
        }
    }
}
template <class Visitor> DEVICE void visit(const SamplingStep& step, const Search& s, bool from_row, Visitor visitor)
{
    if (from_row)
        visit_row(step, s, visitor);
    else
        visit_list(s, visitor);
}

// Of the tokens whose key begins with `prefix`, by the digit at `shift`. Called by all threads.
DEVICE void fill(const SamplingStep& step, const Search& s, bool from_row, uint32_t at, int shift, uint64_t prefix)
{
    const shared_ptr<uint32_t> counts = shared_at<uint32_t>(shared_base() + at);
    for (int i = thread_index(); i < 3 * Bins; i += ChooseThreads)
        store(counts + i, 0u);
    barrier();
    visit(step, s, from_row, [=](uint64_t key) {
        if (key >> (shift + DigitBits) != prefix)
            return;
        const uint32_t bin = static_cast<uint32_t>(key >> shift) % Bins, part = mantissa(weight_bits(key));
        atomic_add(counts + bin, 1u);
        // In halves: 2^20 tokens fit.
        atomic_add(counts + Bins + bin, part & 0xfffu);
        atomic_add(counts + 2 * Bins + bin, part >> 12);
    });
}

// shift: mass_shift of all tokens, or -1 where the bin tells it.
DEVICE Position content(shared_ptr<const uint32_t> counts, int bin, int shift)
{
    const uint32_t count = load(counts + bin);
    const uint64_t sum = load(counts + Bins + bin) + (static_cast<uint64_t>(load(counts + 2 * Bins + bin)) << 12);
    if (count == 0)
        return {0, {0, 0}};
    const int by = shift >= 0 ? shift : mass_shift((0x3f8u - static_cast<uint32_t>(bin)) << 20);
    return {count, {by == 0 ? 0 : sum >> (64 - by), sum << by}};
}

DEVICE Position from_lane_before(Position value)
{
    return {shuffle_up(value.count, 1), {shuffle_up(value.mass.high, 1), shuffle_up(value.mass.low, 1)}};
}
// The sum over the lanes up to this one.
DEVICE Position scan(Position own)
{
    UNROLL for (int lanes = 1; lanes < 32; lanes <<= 1) {
        const Position other{shuffle_up(own.count, lanes), {shuffle_up(own.mass.high, lanes), shuffle_up(own.mass.low, lanes)}};
        own = lane_index() >= lanes ? own + other : own;
    }
    return own;
}

// The first bin within which the goal is reached, after `before`. Called by all threads.
DEVICE Found locate(uint32_t at, int shift, Position before, Goal goal)
{
    const shared_ptr<const uint32_t> counts = shared_at<const uint32_t>(shared_base() + at);
    const shared_ptr<Position> warps = shared_at<Position>(shared_base() + WarpsAt);
    const shared_ptr<Found> found = shared_at<Found>(shared_base() + FoundAt);
    const int bin = BinsPerWarp * warp_index() + 2 * lane_index();
    barrier();
    const Position first = content(counts, bin, shift), second = content(counts, bin + 1, shift), own = first + second;
    const Position up_to = warp_any(own.count > 0) ? scan(own) : own;
    if (lane_index() == 31)
        store(warps + warp_index(), up_to);
    barrier();
    Position start = before;
    for (int warp = 0; warp < warp_index(); ++warp)
        start = start + load(warps + warp);
    const Position after = start + up_to, previous = from_lane_before(after);
    const uint32_t ends = warp_ballot(own.count > 0 && reaches(after, goal));
    // A warp before this one has it where tokens have been passed and the goal is behind.
    const bool is_behind = start.count > before.count && reaches(start, goal);
    if (!is_behind && ends != 0 && lane_index() == lowest_bit(ends)) {
        const Position base = lane_index() == 0 ? start : previous;
        const bool in_first = first.count > 0 && reaches(base + first, goal);
        store(found, in_first ? Found{base, first, bin, 0} : Found{base + first, second, bin + 1, 0});
    }
    if (!is_behind && ends == 0 && bin == Bins - 2)
        store(found, Found{after, {0, {0, 0}}, -1, 0});
    barrier();
    return load(found);
}

DEVICE Mass times(uint64_t weight, uint32_t count)
{
    const uint64_t low = static_cast<uint64_t>(static_cast<uint32_t>(weight)) * count;
    const uint64_t high = (weight >> 32) * count + (low >> 32);
    return {high >> 32, high << 32 | static_cast<uint32_t>(low)};
}

// Among `content.count` tokens of equal weight, the position where the search ends.
DEVICE Position end_of_run(const Found& found, uint64_t weight, Goal goal)
{
    uint32_t low = 1, high = found.content.count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const bool reached = reaches(found.before + Position{middle, times(weight, middle)}, goal);
        low = reached ? low : middle + 1;
        high = reached ? middle : high;
    }
    return found.before + Position{low, times(weight, low)};
}

// The one token of the list whose key begins with `prefix`. Called by all threads.
DEVICE int single(const Search& s, int shift, uint64_t prefix)
{
    const shared_ptr<int> token = shared_at<int>(shared_base() + FoundAt);
    barrier();
    visit_list(s, [=](uint64_t key) {
        if (key >> shift == prefix)
            store(token, static_cast<int>(key & ((1u << IdBits) - 1)));
    });
    barrier();
    return load(token);
}

// Puts a bucket that fits it into the list. Called by all threads.
DEVICE void gather(const SamplingStep& step, Search& s, int bucket, uint32_t count)
{
    if (s.bucket == bucket)
        return;
    const shared_ptr<uint32_t> counter = shared_at<uint32_t>(shared_base() + FoundAt);
    const global_ptr<uint64_t> list = s.list;
    barrier();
    if (thread_index() == 0)
        store(counter, 0u);
    barrier();
    visit_row(step, s, [=](uint64_t key) {
        if (static_cast<int>(key >> FirstShift) == bucket)
            store(list + atomic_add(counter, 1u), key);
    });
    barrier();
    s.bucket = bucket;
    s.listed = count;
}

// The first place where the goal is reached. Called by all threads.
// goal.count: of the list or, with may_read_row, of the row; where it is reached nowhere, the result is all that was searched.
DEVICE Place find(const SamplingStep& step, Search& s, Goal goal, bool may_read_row)
{
    Position before{0, {0, 0}};
    uint64_t prefix = 0;
    bool from_row = s.from_row;
    int digit = 0;
    NO_UNROLL for (;;) {
        const int shift = FirstShift - digit * DigitBits;
        const uint32_t at = digit == 0 ? FirstAt : OtherAt;
        if (digit > 0 || !s.is_filled) {
            fill(step, s, from_row, at, shift, prefix);
            s.is_filled = true;
        }
        const Found found = locate(at, digit == 0 ? -1 : mass_shift(weight_bits(prefix << (shift + DigitBits))), before, goal);
        if (found.bin < 0) {
            if (s.from_row || !may_read_row)
                return {found.before, 0};
            s.from_row = from_row = true;
            s.is_filled = false;
            continue;
        }
        before = found.before;
        prefix = prefix << DigitBits | static_cast<uint32_t>(found.bin);
        if (++digit == Digits)
            return {before + found.content, static_cast<int>(prefix & ((1u << IdBits) - 1))};
        if (digit == 1 && s.from_row && found.content.count <= HeadCapacity) {
            gather(step, s, found.bin, found.content.count);
            from_row = false;
        }
        if (found.content.count == 1 && !from_row)
            return {before + found.content, single(s, shift, prefix)};
        if (digit == WeightDigits)
            // From here on all weigh the same: only the number of tokens counts, in the order of their ids.
            goal = {end_of_run(found, mass_of(bits_float(weight_bits(prefix << shift))).low, goal).count, any_mass()};
    }
}

// Philox4x32-10: 53 bits as a number in [0, 1).
DEVICE double uniform(uint64_t seed, uint64_t counter)
{
    uint32_t x0 = static_cast<uint32_t>(counter), x1 = static_cast<uint32_t>(counter >> 32), x2 = 0, x3 = 0;
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
        const uint64_t product0 = static_cast<uint64_t>(0xd2511f53u) * x0, product1 = static_cast<uint64_t>(0xcd9e8d57u) * x2;
        x0 = static_cast<uint32_t>(product1 >> 32) ^ x1 ^ key0;
        x1 = static_cast<uint32_t>(product1);
        x2 = static_cast<uint32_t>(product0 >> 32) ^ x3 ^ key1;
        x3 = static_cast<uint32_t>(product0);
        key0 += 0x9e3779b9u;
        key1 += 0xbb67ae85u;
    }
    return static_cast<double>((static_cast<uint64_t>(x0) << 32 | x1) >> 11) * 0x1p-53;
}

// The least mass that is at least `value`, or with `beyond` the least that is above it. value: at most 2^20.
DEVICE Mass mass_reaching(double value, bool beyond)
{
    const uint64_t high = static_cast<uint64_t>(value * 0.5);
    const double rest = (value - 2.0 * static_cast<double>(high)) * 0x1p63;
    const uint64_t low = static_cast<uint64_t>(rest);
    return Mass{high, low} + Mass{0, beyond || static_cast<double>(low) < rest ? 1u : 0u};
}

// The slices' sums from index `at`: a mass. Called by whole warps.
DEVICE Mass slices_mass(const SamplingStep& step, int row, int at)
{
    Mass sum{0, 0};
    for (int slice = lane_index(); slice < step.slices; slice += 32) {
        const global_ptr<uint64_t> sums = step.sums + (static_cast<int64_t>(row) * step.slices + slice) * SliceSums + at;
        sum = sum + Mass{load(sums), load(sums + 1)};
    }
    return warp_sum(sum);
}

// What the slices left out of the head. Called by whole warps.
DEVICE Position tail(const SamplingStep& step, int row)
{
    int count = 0;
    for (int slice = lane_index(); slice < step.slices; slice += 32)
        count += static_cast<int>(load(step.sums + (static_cast<int64_t>(row) * step.slices + slice) * SliceSums + 4));
    return {static_cast<uint32_t>(warp_add(count)), slices_mass(step, row, 2)};
}

DEVICE int choose(const SamplingStep& step, const SamplingRow& r, int row, float max)
{
    const uint32_t head_count = load(step.counters + 2 * row + 1);
    const bool overflows = head_count > HeadCapacity;
    Search s{r, row, max, step.head + static_cast<int64_t>(row) * HeadCapacity, head_count, overflows, false, -1};
    const double u = uniform(r.seed, r.counter);
    Position kept{any_count(), any_mass()};
    Place end{};
    // In turn: everything, top-k, top-p, the draw. One loop, so that the search is in the kernel once.
    enum { All, TopK, TopP, Draw };
    NO_UNROLL for (int cut = All; cut <= Draw; ++cut) {
        Goal goal{kept.count, any_mass()};
        if (cut == TopK) {
            if (r.top_k == 0 || static_cast<uint32_t>(r.top_k) >= kept.count)
                continue;
            goal.count = static_cast<uint32_t>(r.top_k);
        } else if (cut == TopP) {
            if (r.top_p >= 1.0f)
                continue;
            goal.mass = mass_reaching(static_cast<double>(r.top_p) * to_double(kept.mass), false);
        } else if (cut == Draw) {
            goal.mass = mass_reaching(u * to_double(kept.mass), true);
        }
        end = find(step, s, goal, cut != All);
        kept = end.position;
        if (cut == All && !overflows)
            kept = kept + tail(step, row);
    }
    return end.token;
}

// The most likely tokens: the slices' lists merged. Called by one warp.
// cursors: [slices] in shared memory.
DEVICE void write_tops(const SamplingStep& step, const SamplingRow& r, int row, double max, double log_sum, shared_ptr<uint32_t> cursors)
{
    const global_ptr<uint64_t> lists = step.top_keys + static_cast<int64_t>(row) * step.slices * MaxTops;
    for (int slice = lane_index(); slice < step.slices; slice += 32)
        store(cursors + slice, 0u);
    warp_barrier();
    for (int place = 0; place < r.top_log_probs; ++place) {
        uint64_t best = 0;
        int from = -1;
        for (int slice = lane_index(); slice < step.slices; slice += 32) {
            const uint32_t cursor = load(cursors + slice);
            const uint64_t key = cursor < static_cast<uint32_t>(r.top_log_probs) ? load(lists + slice * MaxTops + cursor) : 0;
            from = key > best ? slice : from;
            best = key > best ? key : best;
        }
        const uint64_t top = warp_max_key(best);
        if (top != 0 && top == best)
            store(cursors + from, load(cursors + from) + 1);
        if (lane_index() == 0) {
            const float logit = top == 0 ? -infinity() : unordered(static_cast<uint32_t>(top >> 32));
            store(step.results + r.tops + place, top == 0 ? -1 : key_id(top));
            const float log_prob = static_cast<float>(static_cast<double>(logit) - max - log_sum);
            store(step.results + r.tops + r.top_log_probs + place, static_cast<int>(float_bits(log_prob)));
        }
        warp_barrier();
    }
}

// Log-probabilities of the untouched logits; NaN where there is no distribution. Called by one warp.
DEVICE void report(const SamplingStep& step, const SamplingRow& r, int row, float max, int token, shared_ptr<uint32_t> cursors)
{
    const bool possible = max == max;
    const double log_sum = possible ? logarithm(to_double(slices_mass(step, row, 0))) : static_cast<double>(max);
    if (r.log_prob >= 0 && lane_index() == 0) {
        const float logit = token < 0 ? not_a_number() : load(step.logits + static_cast<int64_t>(row) * step.row_stride + token);
        const float log_prob = static_cast<float>(static_cast<double>(logit) - static_cast<double>(max) - log_sum);
        store(step.results + r.log_prob, static_cast<int>(float_bits(log_prob)));
    }
    if (r.top_log_probs > 0)
        write_tops(step, r, row, static_cast<double>(max), log_sum, cursors);
}

KERNEL(sample_choose, ChooseThreads, 1, (SamplingStep step))
{
    dependency_wait();
    launch_dependents();
    const int row = block_x();
    const SamplingRow r = load(step.rows + row);
    const float4 summary = load(step.summaries + row);
    int token = load(step.results + row);
    if (summary.y == summary.y) {
        token = choose(step, r, row, summary.y);
        if (thread_index() == 0)
            store(step.results + row, token);
    }
    if ((r.log_prob >= 0 || r.top_log_probs > 0) && warp_index() == 0)
        report(step, r, row, summary.x, token, shared_at<uint32_t>(shared_base() + OtherAt));
}
