// A piece of paged attention over a cache of 8-bit elements with a float scale a token and KV head, apart for keys and values.
//
// Elements become F16, exactly: it takes fewer instructions than BF16, and probabilities keep three more bits. The scales never
// touch an element: the keys' multiply the scores, the values' the probabilities, four numbers a lane and 8 tokens instead of HeadDim.
//
// Order. A matrix load moves pairs of elements, so a register holds elements 2i and 2i + 1 of two tokens' values. Format::widen
// makes it two registers of one element each, which are B fragments: columns of the products with values are the even elements of
// 16, then the odd ones. Keys need no order of their own, as long as the queries have the same: prepare brings them into it.
//
// Range. Rows of queries are divided by the power of two below their largest element. Maxima are of score + log2 of the value's scale,
// roughly, so that what multiplies values is at most 1.07, however small or different the scales are; sums may become large instead.
#pragma once
#include "attention.cuh"

// e4m3. Below sm_89, which has no instruction for it, the bits are moved to F16's places, which makes the value smaller by Unit.
struct Fp8Format {
#if __CUDA_ARCH__ >= 890
    static constexpr float Unit = 1.0f;
    static constexpr bool KeysInPairs = true; // elements 0, 1 in the first register, 2, 3 in the second
    DEVICE void widen_keys(uint32_t* to, uint32_t bytes)
    {
        to[0] = e4m3_to_f16(static_cast<uint16_t>(bytes));
        to[1] = e4m3_to_f16(static_cast<uint16_t>(bytes >> 16));
    }
    DEVICE void widen(uint32_t& even, uint32_t& odd, uint32_t bytes)
    {
        uint32_t pair[2];
        widen_keys(pair, permute_bytes(bytes, 0, 0x3120));
        even = pair[0];
        odd = pair[1];
    }
#else
    static constexpr float Unit = 0x1p-8f;
    static constexpr bool KeysInPairs = false;
    DEVICE void widen(uint32_t& even, uint32_t& odd, uint32_t bytes)
    {
        even = and_or(bytes << 8, 0x80008000u, bytes << 7 & 0x3f803f80u);
        odd = and_or(bytes, 0x80008000u, bytes >> 1 & 0x3f803f80u);
    }
    DEVICE void widen_keys(uint32_t* to, uint32_t bytes) { widen(to[0], to[1], bytes); }
#endif
};

// Integers plus 128: as the low bits of an F16 between 1024 and 1279, less 1152.
struct Int8Format {
    static constexpr float Unit = 1.0f;
    static constexpr bool KeysInPairs = false;
    DEVICE void widen(uint32_t& even, uint32_t& odd, uint32_t bytes)
    {
        constexpr uint32_t Bits = 0x64646464u, One = 0x3c003c00u, Offset = 0xe480e480u;
        even = fma_f16(permute_bytes(bytes, Bits, 0x4240), One, Offset);
        odd = fma_f16(permute_bytes(bytes, Bits, 0x4341), One, Offset);
    }
    DEVICE void widen_keys(uint32_t* to, uint32_t bytes) { widen(to[0], to[1], bytes); }
};

// Roughly log2 of a positive float: its bits, of which the upper half suffices, as a number. Within 0.09.
DEVICE float rough_log2(float value)
{
    const float bits = bits_float(permute_bytes(float_bits(value), 0x4b000000u, 0x7632)); // 2^23 plus the upper half
    return fmadd(bits, 0x1p-7f, -(65536.0f + 127.0f));
}

DEVICE float2 load_pair(uint32_t scales, int n) { return load(shared_at<const float2>(scales) + 4 * n + (lane_index() & 3)); }

template <class Format> struct EightBitCache {
    static constexpr int Bytes = 1;

    // Two lanes a row, each every other 16 elements.
    template <int HeadDim> DEVICE void prepare(Queries<HeadDim>& q, uint32_t address, float scale_log2)
    {
        constexpr int Vectors = HeadDim / 8, Groups = HeadDim / 16;
        const int row = lane_index() >> 1;
        float top = 0.0f;
        UNROLL_BY(4) for (int group = lane_index() & 1; group < Groups; group += 2)
            UNROLL for (int half = 0; half < 2; ++half) {
                const uint4 v = load(shared_at<const uint4>(address + place<Vectors>(row, 2 * group + half)));
                top = larger_of_pair(larger_of_pair(larger_of_pair(larger_of_pair(top, v.x), v.y), v.z), v.w);
            }
        top = maximum(top, shuffle_xor(top, 1));
        // A row of zeros has a factor, too.
        const float power = bits_float(float_bits(maximum(top, 0x1p-60f)) & 0x7f800000u);
        const float inverse = bits_float(0x7f000000u - float_bits(power));
        UNROLL_BY(4) for (int group = lane_index() & 1; group < Groups; group += 2) {
            const shared_ptr<uint4> first = shared_at<uint4>(address + place<Vectors>(row, 2 * group));
            const shared_ptr<uint4> second = shared_at<uint4>(address + place<Vectors>(row, 2 * group + 1));
            const uint4 a = load(first), b = load(second);
            if constexpr (Format::KeysInPairs) {
                store(first, uint4{to_f16_pair(a.x, inverse), to_f16_pair(a.z, inverse), to_f16_pair(b.x, inverse), to_f16_pair(b.z, inverse)});
                store(second, uint4{to_f16_pair(a.y, inverse), to_f16_pair(a.w, inverse), to_f16_pair(b.y, inverse), to_f16_pair(b.w, inverse)});
            } else {
                store(first, uint4{even_pair(a.x, a.y, inverse), even_pair(a.z, a.w, inverse), even_pair(b.x, b.y, inverse), even_pair(b.z, b.w, inverse)});
                store(second, uint4{odd_pair(a.x, a.y, inverse), odd_pair(a.z, a.w, inverse), odd_pair(b.x, b.y, inverse), odd_pair(b.z, b.w, inverse)});
            }
        }
        warp_barrier();
        hold_queries(q, address);
        UNROLL for (int half = 0; half < 2; ++half)
            q.factor[half] = shuffle(power, 2 * ((lane_index() >> 2) + 8 * half)) * (scale_log2 / Format::Unit);
    }

    // scores[0..1] = q . keys of a piece's 16 tokens times the keys' scales.
    template <int HeadDim> DEVICE void score_piece(float (*scores)[4], const Queries<HeadDim>& q, uint32_t piece, uint32_t scales)
    {
        constexpr int Vectors = HeadDim / 16;
        const int token = (lane_index() & 7) + 8 * (lane_index() >> 4), vector = (lane_index() >> 3) & 1;
        const FragmentAddress<Vectors> address = fragment_address<Vectors>(piece, token, vector);
        UNROLL for (int k = 0; k < Vectors / 2; ++k) {
            uint32_t bytes[4];
            load_matrix_x4(bytes, step(address, k));
            score_vector(scores, q, 2 * k, bytes[0], bytes[2]);
            score_vector(scores, q, 2 * k + 1, bytes[1], bytes[3]);
        }
        if constexpr (Vectors % 2 != 0) { // the last vector twice
            uint32_t bytes[4];
            load_matrix_x4(bytes, step(fragment_address<Vectors>(piece, token, 0), Vectors / 2));
            score_vector(scores, q, Vectors - 1, bytes[0], bytes[2]);
        }
        UNROLL for (int n = 0; n < 2; ++n) {
            const float2 scale = load_pair(scales, n);
            UNROLL for (int e = 0; e < 4; ++e)
                scores[n][e] *= e & 1 ? scale.y : scale.x;
        }
    }

    // A tile's scores become probabilities times the values' scales, relative to the new maximum, and the state is rescaled to it.
    template <int HeadDim, int Columns>
    DEVICE void softmax_step(State<HeadDim>& state, float (&scores)[Columns][4], const Queries<HeadDim>& q, uint32_t scales)
    {
        float top[2] = {minus_infinity(), minus_infinity()}, factor[2], sum[2] = {0.0f, 0.0f};
        UNROLL for (int n = 0; n < Columns; ++n) {
            const float2 scale = load_pair(scales, n);
            const float height[2] = {rough_log2(scale.x), rough_log2(scale.y)};
            UNROLL for (int e = 0; e < 4; ++e)
                top[e >> 1] = maximum(top[e >> 1], fmadd(scores[n][e], q.factor[e >> 1], height[e & 1]));
        }
        UNROLL for (int half = 0; half < 2; ++half) {
            top[half] = maximum(state.maximum[half], row_maximum(top[half]));
            factor[half] = exp2_approx(state.maximum[half] - finite(top[half]));
            state.maximum[half] = top[half];
            top[half] = finite(top[half]);
        }
        UNROLL for (int n = 0; n < Columns; ++n) {
            const float2 scale = load_pair(scales, n);
            UNROLL for (int e = 0; e < 4; ++e) {
                const float p = exp2_approx(fmadd(scores[n][e], q.factor[e >> 1], -top[e >> 1]));
                sum[e >> 1] += p;
                scores[n][e] = p * (e & 1 ? scale.y : scale.x);
            }
        }
        UNROLL for (int half = 0; half < 2; ++half)
            state.sum[half] = fmadd(state.sum[half], factor[half], sum[half]);
        rescale(state, factor);
    }

    // values += probabilities . values of a piece's 16 tokens; the scores' registers are the A fragment.
    template <int HeadDim> DEVICE void add_piece(State<HeadDim>& state, const float (*probabilities)[4], uint32_t piece)
    {
        constexpr int Vectors = HeadDim / 16;
        const uint32_t weights[4] = {
            pack_f16(probabilities[0][0], probabilities[0][1]), pack_f16(probabilities[0][2], probabilities[0][3]),
            pack_f16(probabilities[1][0], probabilities[1][1]), pack_f16(probabilities[1][2], probabilities[1][3])};
        const FragmentAddress<Vectors> address = fragment_address<Vectors>(piece, fragment_row(), fragment_vector());
        UNROLL for (int k = 0; k < Vectors / 2; ++k) {
            uint32_t bytes[4];
            load_matrix_x4_transposed(bytes, step(address, k));
            add_vector(state, 2 * k, weights, bytes[0], bytes[1]);
            add_vector(state, 2 * k + 1, weights, bytes[2], bytes[3]);
        }
        if constexpr (Vectors % 2 != 0) {
            uint32_t bytes[4];
            load_matrix_x4_transposed(bytes, step(fragment_address<Vectors>(piece, fragment_row(), 0), Vectors / 2));
            add_vector(state, Vectors - 1, weights, bytes[0], bytes[1]);
        }
    }

    // The sums over all of a row's lanes, in the values' unit; closes a chunk.
    template <int HeadDim> DEVICE void close_sums(State<HeadDim>& state)
    {
        UNROLL for (int half = 0; half < 2; ++half) {
            state.sum[half] += shuffle_xor(state.sum[half], 1);
            state.sum[half] += shuffle_xor(state.sum[half], 2);
            state.sum[half] *= Format::Unit;
        }
    }

    // The lane's elements of a row, four neighbours of each 16, times a factor and rounded, or as they are. Adding zero is what a fold
    // does, so that even a negative zero comes out alike.
    template <int HeadDim> DEVICE void write_row(const State<HeadDim>& state, int half, global_ptr<bf16> to, float factor)
    {
        UNROLL for (int v = 0; v < HeadDim / 16; ++v) {
            const float4 four = neighbours(state, half, v);
            store(cast<uint2>(to + 16 * v + 4 * (lane_index() & 3)),
                  uint2{pack_bf16((four.x + 0.0f) * factor, (four.y + 0.0f) * factor), pack_bf16((four.z + 0.0f) * factor, (four.w + 0.0f) * factor)});
        }
    }
    template <int HeadDim> DEVICE void write_row(const State<HeadDim>& state, int half, global_ptr<float> to)
    {
        UNROLL for (int v = 0; v < HeadDim / 16; ++v)
            store(cast<float4>(to + 16 * v + 4 * (lane_index() & 3)), neighbours(state, half, v));
    }

private:
    // As magnitudes; the lower half's bits below the upper half do not matter.
    DEVICE float larger_of_pair(float top, uint32_t pair)
    {
        return maximum(maximum(top, absolute(bits_float(pair))), absolute(bits_float(pair << 16)));
    }
    DEVICE uint32_t to_f16_pair(uint32_t pair, float factor)
    {
        const float2 both = unpack_bf16(pair);
        return pack_f16(both.x * factor, both.y * factor);
    }
    DEVICE uint32_t even_pair(uint32_t a, uint32_t b, float factor) { return to_f16_pair(permute_bytes(a, b, 0x5410), factor); }
    DEVICE uint32_t odd_pair(uint32_t a, uint32_t b, float factor) { return to_f16_pair(permute_bytes(a, b, 0x7632), factor); }

    // One vector of 16 elements of the piece's first and last 8 tokens.
    template <int HeadDim>
    DEVICE void score_vector(float (*scores)[4], const Queries<HeadDim>& q, int vector, uint32_t first, uint32_t last)
    {
        uint32_t queries[4], keys[2];
        if constexpr (Queries<HeadDim>::Held)
            UNROLL for (int i = 0; i < 4; ++i)
                queries[i] = q.fragments[vector][i];
        else
            load_fragment<HeadDim>(queries, q.address, vector);
        Format::widen_keys(keys, first);
        mma_f16(scores[0], queries, keys);
        Format::widen_keys(keys, last);
        mma_f16(scores[1], queries, keys);
    }

    template <int HeadDim>
    DEVICE void add_vector(State<HeadDim>& state, int vector, const uint32_t* weights, uint32_t first, uint32_t last)
    {
        uint32_t even[2], odd[2];
        Format::widen(even[0], odd[0], first);
        Format::widen(even[1], odd[1], last);
        mma_f16(state.values[2 * vector], weights, even);
        mma_f16(state.values[2 * vector + 1], weights, odd);
    }

    template <int HeadDim> DEVICE float4 neighbours(const State<HeadDim>& state, int half, int vector)
    {
        const float(&even)[4] = state.values[2 * vector], (&odd)[4] = state.values[2 * vector + 1];
        return {even[2 * half], odd[2 * half], even[2 * half + 1], odd[2 * half + 1]};
    }
};
