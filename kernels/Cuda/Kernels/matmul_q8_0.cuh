// GGUF's Q8_0: INT8 weights, an F16 scale for 32 of a row. Floor: 34/32 bytes a weight.
// A chunk has 64 columns; its scales are F16 [row: 128][group: 2].
#pragma once
#include "matmul.cuh"

struct Q8_0 {
    static constexpr int Columns = 64, Group = 32, ScaleBytes = BlockRows * 4, Terms = 1;
    static constexpr bool Minimum = false;
    struct Scales {
        uint32_t groups[2]; // of the lane's two rows
    };
    DEVICE Scales load_scales(uint32_t scales, int row)
    {
        return {{load(shared_at<const uint32_t>(scales + row * 4)), load(shared_at<const uint32_t>(scales + (row + 8) * 4))}};
    }
    DEVICE float scale(const Scales& scales, int half, int group) { return half_to_float(scales.groups[half], group); }
    DEVICE void load_fragments(uint32_t (&fragment)[2][4], uint32_t at, const Scales&, int) { load_int8(fragment, at); }
};
