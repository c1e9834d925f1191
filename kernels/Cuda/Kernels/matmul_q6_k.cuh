// GGUF's Q6_K: six-bit weights, held as INT8; the scale of 16 is d (F16) times an INT8, a product that is exact in F32.
// Floor: 8192 + 768 bytes for 8192 weights (the checkpoint's 210 for 256 would be a quarter less).
// A chunk has 64 columns; its scales are [row: 128][group: 4] of INT8 + 128, then F16 d [row: 128].
#pragma once
#include "matmul.cuh"

struct Q6_K {
    static constexpr int Columns = 64, Group = 16, ScaleBytes = BlockRows * (4 + 2), Terms = 1;
    static constexpr bool Minimum = false;
    struct Scales {
        uint32_t groups[2]; // of the lane's two rows
        float d[2];
    };
    DEVICE Scales load_scales(uint32_t scales, int row)
    {
        Scales result;
        UNROLL for (int half = 0; half < 2; ++half) {
            result.groups[half] = load(shared_at<const uint32_t>(scales + (row + 8 * half) * 4));
            result.d[half] = to_float(load(shared_at<const f16>(scales + BlockRows * 4 + (row + 8 * half) * 2)));
        }
        return result;
    }
    DEVICE float scale(const Scales& scales, int half, int group)
    {
        return scales.d[half] * (times_byte(1.0f, scales.groups[half], group) - 128.0f);
    }
    DEVICE void load_fragments(uint32_t (&fragment)[2][4], uint32_t at, const Scales&, int) { load_int8(fragment, at); }
};
