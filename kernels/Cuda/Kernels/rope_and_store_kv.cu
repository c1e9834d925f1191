// Rotates the query and key heads of fused q|k|v rows in place, after a norm of each head where gains are given, and stores the new
// keys and values in the paged cache.
// Floor: the rows read, q and k written back, k and v written to the cache; the table's rows are shared by all heads of a token.
//
// A cache of 8 bits gets a head's largest magnitude over 448 (e4m3) or 127 (integers, stored plus 128) as the scale of its elements,
// as float: in memory they come to 64 bytes a block and head, which is what a read moves anyway, and a copy of 4 bytes can leave a
// token out. A head with an infinity or NaN gets NaN.
//
// A CTA works on one token, a half warp on one head at a time: lane i of it on rotary pairs 8 i .. 8 i + 7. A head has at most 256
// elements, in multiples of 16. Rows and heads start on 16 bytes.
#include "device.cuh"
#include "vectors.cuh"

static constexpr int Threads = 256, Pairs = 8, HeadLanes = 16;

struct RopeArguments {
    global_ptr<bf16> qkv;                   // [tokens][(heads + 2 kv_heads) * head_dim], rows qkv_stride elements apart
    global_ptr<const float> table;          // [position][head_dim / 2] cosine and sine
    global_ptr<const int32_t> positions;    // [tokens]
    global_ptr<const int32_t> slots;        // [tokens] block * block_size + offset; -1 for a row of no sequence, which is left alone
    global_ptr<uint8_t> keys, values;       // as attention.cuh has them
    global_ptr<const float> query_gain, key_gain; // [head_dim], or null for no norm
    float epsilon;
    int32_t qkv_stride, heads, kv_heads, head_dim, block_size, block_bytes, interleaved;
};

// The eight first and the eight second elements of a lane's pairs: neighbours where interleaved, else half a head apart.
struct RotaryPairs {
    float first[Pairs], second[Pairs];
};

DEVICE void load_pairs(RotaryPairs& pairs, global_ptr<const bf16> head, int pair, int head_dim, bool interleaved)
{
    float low[Lanes], high[Lanes];
    load_vector<bf16>(low, head, interleaved ? 2 * pair : pair, head_dim, true);
    load_vector<bf16>(high, head, interleaved ? 2 * pair + Lanes : pair + head_dim / 2, head_dim, true);
    UNROLL for (int i = 0; i < Pairs; ++i) {
        pairs.first[i] = !interleaved ? low[i] : i < 4 ? low[(2 * i) & 7] : high[(2 * i) & 7];
        pairs.second[i] = !interleaved ? high[i] : i < 4 ? low[(2 * i + 1) & 7] : high[(2 * i + 1) & 7];
    }
}

// In the order of their places.
DEVICE void order_pairs(float* low, float* high, const RotaryPairs& pairs, bool interleaved)
{
    UNROLL for (int i = 0; i < Lanes; ++i) {
        low[i] = !interleaved ? pairs.first[i] : i & 1 ? pairs.second[i >> 1] : pairs.first[i >> 1];
        high[i] = !interleaved ? pairs.second[i] : i & 1 ? pairs.second[4 + (i >> 1)] : pairs.first[4 + (i >> 1)];
    }
}

DEVICE void store_pairs(const RotaryPairs& pairs, global_ptr<bf16> head, int pair, int head_dim, bool interleaved)
{
    float low[Lanes], high[Lanes];
    order_pairs(low, high, pairs, interleaved);
    store_vector<bf16>(head, low, interleaved ? 2 * pair : pair, head_dim, true);
    store_vector<bf16>(head, high, interleaved ? 2 * pair + Lanes : pair + head_dim / 2, head_dim, true);
}

DEVICE void rotate(RotaryPairs& pairs, global_ptr<const float> angles)
{
    UNROLL for (int i = 0; i < Pairs; ++i) {
        const float2 turn = load(cast<const float2>(angles) + i);
        const float x = pairs.first[i], y = pairs.second[i];
        pairs.first[i] = fmadd(x, turn.x, -(y * turn.y));
        pairs.second[i] = fmadd(y, turn.x, x * turn.y);
    }
}

// The head's norm; every lane of the warp takes part. A head without a norm passes active = false.
DEVICE void normalize(RotaryPairs& pairs, global_ptr<const float> gain, float epsilon, int pair, int head_dim, bool interleaved, bool active)
{
    float sum = 0.0f; // idle lanes hold zeros
    UNROLL for (int i = 0; i < Pairs; ++i)
        sum = fmadd(pairs.second[i], pairs.second[i], fmadd(pairs.first[i], pairs.first[i], sum));
    UNROLL for (int lanes = HeadLanes / 2; lanes > 0; lanes >>= 1)
        sum += shuffle_xor(sum, lanes);
    const float factor = 1.0f / square_root(sum / static_cast<float>(head_dim) + epsilon);
    if (!active)
        return;
    // Which elements a pair is made of decides which gains it gets.
    UNROLL for (int i = 0; i < Pairs; ++i) {
        pairs.first[i] *= factor * load(gain + (interleaved ? 2 * (pair + i) : pair + i));
        pairs.second[i] *= factor * load(gain + (interleaved ? 2 * (pair + i) + 1 : pair + i + head_dim / 2));
    }
}

// To nearest even, at most 448.
DEVICE uint32_t e4m3_bits(float value)
{
    const float magnitude = absolute(value) < 448.0f ? absolute(value) : 448.0f;
    const uint32_t bits = float_bits(magnitude), sign = float_bits(value) >> 24 & 0x80u;
    // Below 2^-6 the steps are of 2^-9, as those of 2^14 are.
    const uint32_t small = float_bits(magnitude + 16384.0f) & 15, large = ((bits + 0x7ffffu + (bits >> 20 & 1)) >> 20) - (120u << 3);
    return sign | (magnitude < 0x1p-6f ? small : large);
}

// How the elements of a head become bytes of the cache.
struct Bf16Store {
    static constexpr int Bytes = 2;
    static constexpr float Largest = 0.0f;
};
struct Fp8Store {
    static constexpr int Bytes = 1;
    static constexpr float Largest = 448.0f;
    DEVICE uint32_t bits(float value) { return e4m3_bits(value); }
};
struct Int8Store {
    static constexpr int Bytes = 1;
    static constexpr float Largest = 127.0f;
    DEVICE uint32_t bits(float value) { return static_cast<uint32_t>(to_s8(value) + 128); }
};

template <class Store> DEVICE uint2 pack_eight(const float* value, float inverse)
{
    uint32_t word[2] = {};
    UNROLL for (int i = 0; i < Lanes; ++i)
        word[i / 4] |= Store::bits(value[i] * inverse) << (8 * (i % 4));
    return {word[0], word[1]};
}

// A head's elements over their scale. Every lane of the warp takes part.
template <class Store>
DEVICE void quantize(const RotaryPairs& pairs, global_ptr<uint8_t> head, global_ptr<uint8_t> scale_to, int pair, int head_dim, bool interleaved,
                     bool active)
{
    float low[Lanes], high[Lanes], top = 0.0f, poison = 0.0f; // idle lanes hold zeros
    order_pairs(low, high, pairs, interleaved);
    UNROLL for (int i = 0; i < Lanes; ++i) {
        top = maximum(top, maximum(absolute(low[i]), absolute(high[i])));
        poison = fmadd(low[i], 0.0f, fmadd(high[i], 0.0f, poison));
    }
    UNROLL for (int lanes = HeadLanes / 2; lanes > 0; lanes >>= 1) {
        top = maximum(top, shuffle_xor(top, lanes));
        poison += shuffle_xor(poison, lanes);
    }
    const float scale = maximum(product(top, 1.0f / Store::Largest), 0x1p-64f) + poison, inverse = 1.0f / scale;
    if (!active)
        return;
    store(cast<uint2>(head + (interleaved ? 2 * pair : pair)), pack_eight<Store>(low, inverse));
    store(cast<uint2>(head + (interleaved ? 2 * pair + Lanes : pair + head_dim / 2)), pack_eight<Store>(high, inverse));
    if (pair == 0)
        store(cast<float>(scale_to), scale);
}

template <class Store> DEVICE void rope_and_store(const RopeArguments& a)
{
    dependency_wait();
    const int token = block_x(), pair = (lane_index() % HeadLanes) * Pairs, half = a.head_dim / 2;
    const bool interleaved = a.interleaved != 0;
    const global_ptr<bf16> row = a.qkv + static_cast<int64_t>(token) * a.qkv_stride;
    const global_ptr<const float> angles = a.table + (static_cast<int64_t>(load(a.positions + token)) * half + pair) * 2;
    const int slot = load(a.slots + token), block = slot / a.block_size, offset = slot % a.block_size;
    if (slot < 0)
        return;
    const int heads = a.heads + 2 * a.kv_heads;
    NO_UNROLL for (int base = 0; base < heads; base += Threads / HeadLanes) {
        const int head = base + thread_index() / HeadLanes;
        const bool active = head < heads && pair < half, is_query = head < a.heads, is_value = head >= a.heads + a.kv_heads;
        const global_ptr<bf16> elements = row + static_cast<int64_t>(head) * a.head_dim;
        RotaryPairs pairs = {};
        if (active)
            load_pairs(pairs, elements, pair, a.head_dim, interleaved);
        if (a.query_gain != nullptr)
            normalize(pairs, is_query ? a.query_gain : a.key_gain, a.epsilon, pair, a.head_dim, interleaved, active && !is_value);
        if (active && !is_value) {
            rotate(pairs, angles);
            store_pairs(pairs, elements, pair, a.head_dim, interleaved);
        }
        const int kv_head = is_query ? 0 : (head - a.heads) % a.kv_heads, at = kv_head * a.block_size + offset;
        const global_ptr<uint8_t> to = (is_value ? a.values : a.keys) + static_cast<int64_t>(block) * a.block_bytes;
        const global_ptr<uint8_t> elements_to = to + static_cast<int64_t>(at) * a.head_dim * Store::Bytes;
        if constexpr (Store::Bytes == 1)
            quantize<Store>(pairs, elements_to, to + static_cast<int64_t>(a.kv_heads) * a.block_size * a.head_dim + at * 4,
                            pair, a.head_dim, interleaved, active && !is_query);
        else if (active && !is_query)
            store_pairs(pairs, cast<bf16>(elements_to), pair, a.head_dim, interleaved);
    }
}

KERNEL(rope_and_store_kv, Threads, 2, (const RopeArguments a)) { rope_and_store<Bf16Store>(a); }
KERNEL(rope_and_store_kv_fp8, Threads, 2, (const RopeArguments a)) { rope_and_store<Fp8Store>(a); }
KERNEL(rope_and_store_kv_int8, Threads, 2, (const RopeArguments a)) { rope_and_store<Int8Store>(a); }
