// F16 weights. A weight of 11 bits is the sum of two BF16 of 8, exactly, and meets the activations in two products: they are never
// rounded to F16, whose range they may leave. Floor: two bytes a weight; twice the operations of the other formats.
// A chunk is one step of 32 columns: [16 x 16 tile: 2][lane: 32] of 16 bytes, the registers of an F16 fragment.
#pragma once
#include "matmul.cuh"

struct Half {
    static constexpr int Columns = 32, Group = 0, Terms = 2, ScaleBytes = 0;
    static constexpr bool Minimum = false;
    struct Scales {};
    DEVICE Scales load_scales(uint32_t, int) { return {}; }
    DEVICE void load_fragments(uint32_t (&fragment)[4][4], uint32_t step, const Scales&, int)
    {
        UNROLL for (int tile = 0; tile < 2; ++tile) {
            const uint4 packed = load(shared_at<const uint4>(step) + tile * 32 + lane_index());
            const uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
            UNROLL for (int j = 0; j < 4; ++j) {
                const float2 weight = unpack_f16(words[j]);
                const uint32_t upper = pack_bf16(weight.x, weight.y);
                const float2 high = unpack_bf16(upper);
                fragment[2 * tile][j] = upper;
                fragment[2 * tile + 1][j] = pack_bf16(weight.x - high.x, weight.y - high.y);
            }
        }
    }
};
