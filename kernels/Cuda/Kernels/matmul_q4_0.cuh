// GGUF's Q4_0: INT4 weights less 8, an F16 scale for 32 of a row. Floor: 18/32 bytes a weight.
// A chunk has 128 columns; its scales are F16 [row: 128][group: 4].
#pragma once
#include "matmul.cuh"

struct Q4_0 {
    static constexpr int Columns = 128, Group = 32, ScaleBytes = BlockRows * 8, Terms = 1;
    static constexpr bool Minimum = false;
    struct Scales {
        uint2 groups[2]; // of the lane's two rows
    };
    DEVICE Scales load_scales(uint32_t scales, int row)
    {
        return {{load(shared_at<const uint2>(scales + row * 8)), load(shared_at<const uint2>(scales + (row + 8) * 8))}};
    }
    DEVICE float scale(const Scales& scales, int half, int group)
    {
        return half_to_float(group < 2 ? scales.groups[half].x : scales.groups[half].y, group & 1);
    }
    DEVICE void load_fragments(uint32_t (&fragment)[2][4], uint32_t at, const Scales&, int) { load_int4(fragment, at, 0xc308c308u, 0xc308c308u); }
};
