// GGUF's Q4_K: INT4 weights; 32 of a row have w = d * scale * q - dmin * minimum, d and dmin F16 and the others of six bits, whose
// products are exact in F32. The second term is taken once for 32 weights, times the sum of their activations.
// Floor: 19/32 bytes a weight (the checkpoint has 18).
// A chunk has 128 columns; its scales are bytes [row: 128][scale: 4, minimum: 4], then F16 [row: 128][d, dmin].
#pragma once
#include "matmul.cuh"

struct Q4_K {
    static constexpr int Columns = 128, Group = 32, ScaleBytes = BlockRows * (8 + 4), Terms = 1;
    static constexpr bool Minimum = true;
    struct Scales {
        uint2 groups[2]; // of the lane's two rows
        uint32_t d[2];
    };
    DEVICE Scales load_scales(uint32_t scales, int row)
    {
        Scales result;
        UNROLL for (int half = 0; half < 2; ++half) {
            result.groups[half] = load(shared_at<const uint2>(scales + (row + 8 * half) * 8));
            result.d[half] = load(shared_at<const uint32_t>(scales + BlockRows * 8 + (row + 8 * half) * 4));
        }
        return result;
    }
    DEVICE float scale(const Scales& scales, int half, int group)
    {
        return times_byte(half_to_float(scales.d[half], 0), scales.groups[half].x, group);
    }
    DEVICE float minimum(const Scales& scales, int half, int group)
    {
        return times_byte(half_to_float(scales.d[half], 1), scales.groups[half].y, group);
    }
    DEVICE void load_fragments(uint32_t (&fragment)[2][4], uint32_t at, const Scales&, int) { load_int4(fragment, at, 0xc300c300u, 0xc300c300u); }
};
