// INT4 weights whose scales lie beside them: w = scale * (q - zero). GroupColumns neighbouring columns of a row share a scale, F16
// times a power of two of the row's own (MatMulArguments::factors), which keeps all bits of a checkpoint's F16 and BF16 scales.
// GroupColumns 0: the row's factor is its only scale. Without Zeros, zero is 8; with them, 0 to 127 for each scale.
//
// Floor: 1/2 byte a weight, and 2 (3 with Zeros) for a group.
// A chunk has 128 columns; its scales are F16 [row: 128][group], then zeros as bytes [row: 128][group].
#pragma once
#include "matmul.cuh"

template <int GroupColumns, bool Zeros> struct Int4 {
    static constexpr int Columns = 128, Group = GroupColumns, Terms = 1, Groups = Group == 0 ? 0 : Columns / Group;
    static constexpr int ZeroOffset = BlockRows * Groups * 2, ScaleBytes = ZeroOffset + (Zeros ? BlockRows * Groups : 0);
    static constexpr bool Minimum = false;
    struct Scales {
        uint2 groups[2];   // of the lane's two rows
        uint32_t zeros[2]; // bytes
    };
    DEVICE Scales load_scales(uint32_t scales, int row)
    {
        Scales result = {};
        UNROLL for (int half = 0; half < 2; ++half) {
            const uint32_t index = (row + 8 * half) * Groups;
            if constexpr (Groups == 4)
                result.groups[half] = load(shared_at<const uint2>(scales + index * 2));
            else if constexpr (Groups > 0)
                result.groups[half].x = load_bytes<Groups * 2>(scales + index * 2);
            if constexpr (Zeros)
                result.zeros[half] = load_bytes<Groups>(scales + ZeroOffset + index);
        }
        return result;
    }
    DEVICE float scale(const Scales& scales, int half, int group)
    {
        return half_to_float(group < 2 ? scales.groups[half].x : scales.groups[half].y, group & 1);
    }
    DEVICE void load_fragments(uint32_t (&fragment)[2][4], uint32_t at, const Scales& scales, int step)
    {
        if constexpr (Zeros) {
            const uint32_t selector = 0x4040u + step * 32 / Group * 0x0101u; // the group's byte below 0xc3, twice
            load_int4(fragment, at, permute_bytes(scales.zeros[0], 0xc3c3c3c3u, selector),
                      permute_bytes(scales.zeros[1], 0xc3c3c3c3u, selector));
        } else
            load_int4(fragment, at, 0xc308c308u, 0xc308c308u);
    }
};
