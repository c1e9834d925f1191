// BF16 weights. Floor: two bytes a weight.
// A chunk is one step of 32 columns: [16 x 16 tile: 2][lane: 32] of 16 bytes, the fragment's registers.
#pragma once
#include "matmul.cuh"

struct BFloat16 {
    static constexpr int Columns = 32, Group = 0, ScaleBytes = 0, Terms = 1;
    static constexpr bool Minimum = false;
    struct Scales {};
    DEVICE Scales load_scales(uint32_t, int) { return {}; }
    DEVICE void load_fragments(uint32_t (&fragment)[2][4], uint32_t step, const Scales&, int)
    {
        UNROLL for (int tile = 0; tile < 2; ++tile) {
            const uint4 packed = load(shared_at<const uint4>(step) + tile * 32 + lane_index());
            fragment[tile][0] = packed.x;
            fragment[tile][1] = packed.y;
            fragment[tile][2] = packed.z;
            fragment[tile][3] = packed.w;
        }
    }
};
