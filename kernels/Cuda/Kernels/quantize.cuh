// Rows of BF16 as INT8 or FP8 (e4m3) with one scale a row: scale = largest magnitude / 127 or 448, value = x / scale rounded to nearest
// even. Written in tiled_matmul.cuh's layout of activations. A row depends on itself alone, and kernels that make a row and quantize
// it at once give the bits that quantize_rows gives for the row rounded to BF16. A row with a value that is not finite gets a scale
// that is not, and so no finite product.
#pragma once
#include "device.cuh"
#include "vectors.cuh"

// Where quantized rows go: [chunk of 128][token, padded][128 bytes, its sixteen-byte parts permuted by token & 7].
struct TiledRows {
    global_ptr<uint8_t> values;
    global_ptr<float> scales; // [tokens]
    int32_t padded_tokens, padding;
};

// Eight values times a factor, as bytes.
struct QuantizeS8 {
    static constexpr float Largest = 127.0f;
    DEVICE uint32_t four(float a, float b, float c, float d)
    {
        const uint32_t low = permute_bytes(static_cast<uint32_t>(to_s8(a)), static_cast<uint32_t>(to_s8(b)), 0x0040u);
        return permute_bytes(low, permute_bytes(static_cast<uint32_t>(to_s8(c)), static_cast<uint32_t>(to_s8(d)), 0x0040u), 0x5410u);
    }
};
#if __CUDA_ARCH__ >= 890
struct QuantizeE4m3 {
    static constexpr float Largest = 448.0f;
    DEVICE uint32_t four(float a, float b, float c, float d)
    {
        return static_cast<uint32_t>(pack_e4m3(a, b)) | static_cast<uint32_t>(pack_e4m3(c, d)) << 16;
    }
};
#endif

// Eight values as BF16.
DEVICE uint4 pack_eight(const float* v)
{
    return {pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7])};
}

// The largest magnitude of eight BF16 values as the bits of a float, which order like integers with NaN above all.
DEVICE uint32_t largest_magnitude(uint4 v)
{
    const uint32_t words[4] = {v.x, v.y, v.z, v.w};
    uint32_t largest = 0;
    UNROLL for (int i = 0; i < 4; ++i) {
        const uint32_t low = words[i] << 16 & 0x7fff0000u, high = words[i] & 0x7fff0000u;
        largest = largest > low ? largest : low;
        largest = largest > high ? largest : high;
    }
    return largest;
}

template <class Q> DEVICE uint2 quantize_eight(uint4 v, float factor)
{
    const float2 a = unpack_bf16(v.x), b = unpack_bf16(v.y), c = unpack_bf16(v.z), d = unpack_bf16(v.w);
    return {Q::four(a.x * factor, a.y * factor, b.x * factor, b.y * factor), Q::four(c.x * factor, c.y * factor, d.x * factor, d.y * factor)};
}

// The largest value over a CTA of `Threads`, in every thread; uses Threads / 32 words of shared memory at `at`.
template <int Threads> DEVICE uint32_t cta_maximum(uint32_t value, uint32_t at)
{
    shared_ptr<uint32_t> warps = shared_at<uint32_t>(at);
    value = warp_max(value);
    if (lane_index() == 0)
        store(warps + warp_index(), value);
    barrier();
    return warp_max(lane_index() < Threads / 32 ? load(warps + lane_index()) : 0u);
}

// Quantizes a row by a CTA. first(v, column) gives the eight BF16 values at a column of the thread's v-th vector and is called once
// for each, again(column) those of vectors beyond `Held`, and both give zeros from the row's width on.
template <class Q, int Threads, int Held, class First, class Again>
DEVICE void quantize_row(const TiledRows& to, int token, int width, uint32_t shared, First first, Again again)
{
    const int padded = (width + 127) / 128 * 128;
    uint4 held[Held];
    uint32_t largest = 0;
    UNROLL for (int v = 0; v < Held; ++v)
        if (const int column = (v * Threads + thread_index()) * Lanes; column < padded) {
            held[v] = first(v, column);
            const uint32_t own = largest_magnitude(held[v]);
            largest = largest > own ? largest : own;
        }
    NO_UNROLL for (int column = (Held * Threads + thread_index()) * Lanes; column < padded; column += Threads * Lanes) {
        const uint32_t own = largest_magnitude(again(column));
        largest = largest > own ? largest : own;
    }
    const float magnitude = bits_float(cta_maximum<Threads>(largest, shared));
    const float factor = magnitude > 1e-30f ? Q::Largest / magnitude : 0.0f; // below, the factor could be infinite
    if (thread_index() == 0)
        store(to.scales + token, magnitude / Q::Largest);
    const global_ptr<uint8_t> row = to.values + static_cast<int64_t>(token) * 128;
    const int64_t chunk_bytes = static_cast<int64_t>(to.padded_tokens) * 128;
    const int permute = (token & 7) << 4;
    UNROLL for (int v = 0; v < Held; ++v)
        if (const int column = (v * Threads + thread_index()) * Lanes; column < padded)
            store(cast<uint2>(row + column / 128 * chunk_bytes + (column % 128 ^ permute)), quantize_eight<Q>(held[v], factor));
    NO_UNROLL for (int column = (Held * Threads + thread_index()) * Lanes; column < padded; column += Threads * Lanes)
        store(cast<uint2>(row + column / 128 * chunk_bytes + (column % 128 ^ permute)), quantize_eight<Q>(again(column), factor));
}
