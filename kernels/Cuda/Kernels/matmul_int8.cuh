// INT8 weights whose scales lie beside them: w = scale * (q - zero). GroupColumns neighbouring columns of a row share a scale, F16
// times a power of two of the row's own (MatMulArguments::factors), which keeps all bits of a checkpoint's F16 and BF16 scales.
// GroupColumns 0: the row's factor is its only scale. Without Zeros q is signed; with them it is unsigned and zero 0 to 255.
//
// Floor: a byte a weight, and 2 (4 with Zeros) for a group.
// A chunk has 64 columns; its scales are F16 [row: 128][group], then 128 - zero as BF16 [row: 128][group].
#pragma once
#include "matmul.cuh"

template <int GroupColumns, bool Zeros> struct Int8 {
    static constexpr int Columns = 64, Group = GroupColumns, Terms = 1, Groups = Group == 0 ? 0 : Columns / Group;
    static constexpr int ZeroOffset = BlockRows * Groups * 2, ScaleBytes = ZeroOffset * (Zeros ? 2 : 1);
    static constexpr bool Minimum = false;
    struct Scales {
        uint32_t groups[2], zeros[2]; // of the lane's two rows
    };
    DEVICE Scales load_scales(uint32_t scales, int row)
    {
        Scales result = {};
        UNROLL for (int half = 0; half < 2; ++half) {
            const uint32_t at = scales + (row + 8 * half) * Groups * 2;
            if constexpr (Groups > 0)
                result.groups[half] = load_bytes<Groups * 2>(at);
            if constexpr (Zeros)
                result.zeros[half] = load_bytes<Groups * 2>(at + ZeroOffset);
        }
        return result;
    }
    DEVICE float scale(const Scales& scales, int half, int group) { return half_to_float(scales.groups[half], group); }
    DEVICE void load_fragments(uint32_t (&fragment)[2][4], uint32_t at, const Scales& scales, int step)
    {
        load_int8(fragment, at);
        if constexpr (Zeros) {
            // (q - 128) + (128 - zero): of nine bits, so exact in BF16 up to +-256.
            const uint32_t selector = step * 32 / Group == 0 ? 0x1010u : 0x3232u;
            const uint32_t zeros[2] = {permute_bytes(scales.zeros[0], 0, selector), permute_bytes(scales.zeros[1], 0, selector)};
            UNROLL for (int tile = 0; tile < 2; ++tile)
                UNROLL for (int j = 0; j < 4; ++j)
                    fragment[tile][j] = fma_bf16(fragment[tile][j], 0x3f803f80u, zeros[j & 1]);
        }
    }
};
